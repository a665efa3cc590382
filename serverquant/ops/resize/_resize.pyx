"""Native steps of the operators on the pixels of images."""
from cpython.bytes cimport PyBytes_AS_STRING
from libc.stdint cimport int32_t, int64_t

from serverquant.blobs._blob cimport SQ_OK, sq_step, sq_tensor
from serverquant.kernels.resize._resize cimport bilinear_f32, remap, sq_side
from serverquant.kernels.transpose._transpose cimport copy_bytes, permute
from serverquant.ops._native cimport pass_qparams, product
from serverquant.runtime._plan cimport Step


# ---- picked pixels -------------------------------------------------------------------------------------------------

cdef struct Remap:
    bint nhwc
    int64_t sizes[3]        # of the input: frames, rows, columns
    int64_t out_sizes[3]
    const int32_t* map[3]
    const char* fill

cdef int run_remap(sq_step* s) noexcept nogil:
    cdef Remap* c = <Remap*>s.ctx
    cdef sq_tensor* x = s.in_[0]
    cdef int64_t channels = x.shape.dims[x.shape.ndim - 1 if c.nhwc else 1]
    cdef int64_t planes = x.shape.dims[0] if c.nhwc else x.shape.dims[0] * channels
    cdef int64_t elem_bytes = x.shape.item_bytes * (channels if c.nhwc else 1)
    pass_qparams(x, s.out[0])
    if s.out[0].shape.size:
        remap(x.data, s.out[0].data, elem_bytes, planes, c.sizes, c.out_sizes, c.map, c.fill)
    return SQ_OK


def remap_step(list maps, tuple sizes, bint nhwc, bytes fill) -> Step:
    """maps: int32 indices of frames, rows and columns of `sizes`; -1: from `fill`, a row of the output."""
    cdef Step step = Step()
    cdef Remap* c = <Remap*>step.new_context(sizeof(Remap))
    cdef const int32_t[::1] view
    cdef int i
    c.nhwc = nhwc
    for i in range(3):
        view = maps[i]
        c.map[i] = &view[0] if view.shape[0] else NULL
        c.sizes[i], c.out_sizes[i] = sizes[i], view.shape[0]
    c.fill = PyBytes_AS_STRING(fill)
    step.keep = (maps, fill)
    step.c.run = run_remap
    step.c.rows = 1
    step.kernel = "remap"
    return step


# ---- interpolation -------------------------------------------------------------------------------------------------

cdef struct Bilinear:
    sq_side sides[2]

cdef int run_bilinear(sq_step* s) noexcept nogil:
    cdef Bilinear* c = <Bilinear*>s.ctx
    cdef sq_tensor* x = s.in_[0]
    c.sides[0].from_, c.sides[1].from_ = x.shape.dims[2], x.shape.dims[3]
    if s.out[0].shape.size:
        bilinear_f32(<float*>x.data, <float*>s.out[0].data, x.shape.dims[0] * x.shape.dims[1], &c.sides[0], &c.sides[1])
    return SQ_OK


def bilinear_step(rows, columns) -> Step:
    """rows, columns: `maps.Side` of the output's."""
    cdef Step step = Step()
    cdef Bilinear* c = <Bilinear*>step.new_context(sizeof(Bilinear))
    cdef const int32_t[::1] first, second
    cdef const float[::1] weight
    cdef int i
    for i, side in enumerate((rows, columns)):
        first, second, weight = side
        c.sides[i].to = first.shape[0]
        if c.sides[i].to:
            c.sides[i].first, c.sides[i].second, c.sides[i].weight = &first[0], &second[0], &weight[0]
    step.keep = (rows, columns)
    step.c.run = run_bilinear
    step.c.rows = 1
    step.kernel = "bilinear_f32"
    return step


# ---- ChannelShuffle ------------------------------------------------------------------------------------------------

cdef struct Shuffle:
    int64_t group
    bint nhwc

cdef int run_shuffle(sq_step* s) noexcept nogil:
    cdef Shuffle* c = <Shuffle*>s.ctx
    cdef sq_tensor* x = s.in_[0]
    cdef int last = x.shape.ndim - 1
    cdef int64_t channels = x.shape.dims[last if c.nhwc else 1]
    cdef int64_t dims[4]
    cdef int axes[4]
    pass_qparams(x, s.out[0])
    if c.group == 1:
        copy_bytes(x.data, s.out[0].data, x.shape.size * x.shape.item_bytes)
        return SQ_OK
    dims[0] = product(x.shape.dims, 0, last if c.nhwc else 1)
    dims[1], dims[2] = c.group, channels // c.group
    dims[3] = 1 if c.nhwc else product(x.shape.dims, 2, x.shape.ndim)
    axes[0], axes[1], axes[2], axes[3] = 0, 2, 1, 3
    permute(x.shape.item_bytes, x.data, s.out[0].data, 4, dims, axes)
    return SQ_OK


def shuffle_step(int64_t group, bint nhwc) -> Step:
    """Transposes groups and the channels within them."""
    cdef Step step = Step()
    cdef Shuffle* c = <Shuffle*>step.new_context(sizeof(Shuffle))
    c.group, c.nhwc = group, nhwc
    step.c.run = run_shuffle
    step.c.rows = 1
    step.kernel = "permute"
    return step
