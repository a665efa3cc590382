"""Native steps of transposed convolutions, and of Im2Col and Col2Im."""
from libc.stdint cimport int64_t

from serverquant.blobs._blob cimport SQ_OK, SQ_PREPARE, sq_step
from serverquant.kernels._window cimport Window, sq_volume, sq_window
from serverquant.kernels.col2im._col2im cimport col2im, im2col, sq_col2im_job
from serverquant.kernels.gemm_f32._gemm_f32 cimport PackedWeightF32, sq_gemm_f32_row
from serverquant.kernels.matmul_f32._matmul_f32 cimport (
    matmul_f32,
    matmul_row,
    pack_panels,
    packs,
    panel_floats,
    sq_matmul_f32_job,
)
from serverquant.kernels.transpose._transpose cimport transpose_2d
from serverquant.ops.dnnlowp._params cimport room
from serverquant.runtime._plan cimport Step, fail


# ---- ConvTranspose: a product makes the columns, col2im adds them up ------------------------------------------------

cdef enum:
    COLUMN_FLOATS = 1 << 21         # images share a product up to here
    FEW_PIXELS = 16                 # an NCHW image of fewer is turned around: its pixels would not fill a vector

cdef struct Transposed:
    sq_window window                # in: the output image, out: the input's pixels
    const sq_gemm_f32_row* row
    int64_t channels, outputs, groups
    bint nhwc                       # the product runs on pixels x channels
    bint turned                     # an NCHW image that is turned around for that
    const float* weights            # NULL: nothing was packed yet
    unsigned long long version


# Where the parts of a run's scratch lie, in bytes.
cdef struct Layout:
    int64_t x, y, columns, panels, places, total


cdef int64_t pixels_of(const Transposed* c) noexcept nogil:
    return sq_volume(c.window.out)


cdef int64_t column_floats(const Transposed* c) noexcept nogil:
    """Of one image."""
    return c.outputs * sq_volume(c.window.kernel) * pixels_of(c)


cdef int64_t images_at_once(const Transposed* c, int64_t images) noexcept nogil:
    cdef int64_t fit = COLUMN_FLOATS // column_floats(c)
    return 1 if fit < 1 else images if fit > images else fit


cdef bint packs_images(const Transposed* c) noexcept nogil:
    return not c.nhwc and packs(c.row, c.outputs // c.groups * sq_volume(c.window.kernel), False)


cdef Layout layout(const Transposed* c, int64_t images) noexcept nogil:
    cdef Layout at
    cdef int64_t chunk = images_at_once(c, images), groups = c.groups
    cdef int64_t floats = panel_floats(c.row, pixels_of(c), c.channels // groups) if packs_images(c) else 0
    at.x = 0
    at.y = room(images * c.channels * pixels_of(c) * 4) if c.turned else 0
    at.columns = at.y + (room(images * c.outputs * sq_volume(c.window.in_) * 4) if c.turned else 0)
    at.panels = at.columns + room(chunk * column_floats(c) * 4)
    at.places = at.panels + room(chunk * groups * floats * 4)
    at.total = at.places + (0 if c.nhwc else room(chunk * groups * 8))
    return at


cdef void make_columns(const Transposed* c, const float* x, int64_t images, char* scratch, const Layout* at) noexcept nogil:
    """The columns of some images, for each group."""
    cdef sq_matmul_f32_job job
    cdef int64_t groups = c.groups, pixels = pixels_of(c), i
    cdef int64_t inner = c.channels // groups, made = c.outputs // groups * sq_volume(c.window.kernel)
    cdef int64_t* places = <int64_t*>(scratch + at.places)
    job.row, job.k, job.a_at, job.b_at, job.row_bias = c.row, inner, NULL, NULL, NULL
    job.out = <float*>(scratch + at.columns)
    if c.nhwc:
        job.batch, job.m, job.n = groups, images * pixels, made
        job.a, job.a_step, job.lda = x, inner, c.channels
        job.b, job.b_step, job.ldb, job.panels = c.weights, panel_floats(c.row, made, inner), 0, True
    else:
        job.batch, job.m, job.n = images * groups, made, pixels
        for i in range(job.batch):
            places[i] = i % groups * made * inner
        job.a, job.a_at, job.a_step, job.lda = c.weights, places, 0, inner
        job.b, job.b_step, job.ldb, job.panels = x, inner * pixels, pixels, packs_images(c)
        if job.panels:
            pack_panels(c.row, x, False, job.batch, pixels, inner, <float*>(scratch + at.panels))
            job.b, job.b_step = <float*>(scratch + at.panels), panel_floats(c.row, pixels, inner)
    matmul_f32(&job)


cdef void run_images(const Transposed* c, const float* x, const float* bias, float* y, int64_t images, char* scratch,
                     const Layout* at) noexcept nogil:
    cdef sq_col2im_job job
    cdef int64_t chunk = images_at_once(c, images), i = 0
    job.window, job.bias, job.groups, job.channels = &c.window, bias, c.groups, c.outputs // c.groups
    job.cols = <float*>(scratch + at.columns)
    while i < images:
        job.images = chunk if images - i > chunk else images - i
        make_columns(c, x + i * c.channels * pixels_of(c), job.images, scratch, at)
        job.y = y + i * c.outputs * sq_volume(c.window.in_)
        col2im(&job, c.nhwc)
        i += job.images


cdef int run_transposed(sq_step* s) noexcept nogil:
    cdef Transposed* c = <Transposed*>s.ctx
    cdef const float* x = <const float*>s.in_[0].data
    cdef const float* bias = <const float*>s.in_[2].data if s.n_in > 2 else NULL
    cdef float* y = <float*>s.out[0].data
    cdef int64_t images = s.in_[0].shape.dims[0]
    cdef Layout at
    cdef char* scratch
    if c.weights == NULL or c.version != s.in_[1].version:
        return SQ_PREPARE
    if s.out[0].shape.size == 0:
        return SQ_OK
    at = layout(c, images)
    scratch = <char*>s.scratch(s, at.total)
    if scratch == NULL:
        return fail(s, "no memory for the columns of a transposed convolution")
    if c.turned:
        transpose_2d(4, x, scratch + at.x, images, c.channels, pixels_of(c))
        x, y = <float*>(scratch + at.x), <float*>(scratch + at.y)
    run_images(c, x, bias, y, images, scratch, &at)
    if c.turned:
        transpose_2d(4, y, s.out[0].data, images, sq_volume(c.window.in_), c.outputs)
    return SQ_OK


def transposed_step(Window window, int64_t channels, int64_t outputs, int64_t groups, *, bint nhwc) -> Step:
    """Y = transposed convolution of X; window: that of the convolution from Y to X. Prepare with `set_weight`;
    `step.facts["form"]` says in which form it wants them: "pixels" or "channels"."""
    cdef Step step = Step()
    cdef Transposed* c = <Transposed*>step.new_context(sizeof(Transposed))
    c.window, c.row = window.raw, matmul_row()
    c.channels, c.outputs, c.groups = channels, outputs, groups
    c.turned = not nhwc and pixels_of(c) < FEW_PIXELS
    c.nhwc = nhwc or c.turned
    step.c.run = run_transposed
    step.c.rows = 1
    step.kernel = c.row.name.decode()
    step.facts = {"form": "channels" if c.nhwc else "pixels"}
    return step


def set_weight(Step step, weight, version) -> None:
    """weight: "pixels": float32 [outputs * taps, channels / groups], group by group; "channels": the same, packed."""
    cdef Transposed* c = <Transposed*>step.c.ctx
    cdef const float[:, ::1] plain
    cdef PackedWeightF32 packed
    if c.nhwc:
        packed = weight
        c.row, c.weights = packed.raw.row, packed.raw.data
    else:
        plain = weight
        c.weights = &plain[0, 0]
    c.version = version
    step.keep = weight


# ---- Im2Col, Col2Im ------------------------------------------------------------------------------------------------

cdef struct Columns:
    sq_window window
    int64_t channels
    bint nhwc, to_image

cdef int run_columns(sq_step* s) noexcept nogil:
    cdef Columns* c = <Columns*>s.ctx
    cdef sq_col2im_job job
    job.window, job.channels, job.groups, job.bias = &c.window, c.channels, 1, NULL
    job.images = s.in_[0].shape.dims[0]
    if s.out[0].shape.size == 0:
        return SQ_OK
    if c.to_image:
        job.cols, job.y = <float*>s.in_[0].data, <float*>s.out[0].data
        col2im(&job, c.nhwc)
    else:
        job.y, job.cols = <float*>s.in_[0].data, <float*>s.out[0].data
        im2col(&job, c.nhwc)
    return SQ_OK


def columns_step(Window window, int64_t channels, *, bint nhwc, bint to_image) -> Step:
    """Im2Col, or with `to_image` Col2Im."""
    cdef Step step = Step()
    cdef Columns* c = <Columns*>step.new_context(sizeof(Columns))
    c.window, c.channels, c.nhwc, c.to_image = window.raw, channels, nhwc, to_image
    step.c.run = run_columns
    # Col2Im's second input gives the shape, its values are not read.
    step.c.rows = 3 if to_image else 1
    step.kernel = "col2im" if to_image else "im2col"
    return step
