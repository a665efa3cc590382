"""Native step of the transposed convolution of Int8 tensors, mobile set."""
from libc.stdint cimport int32_t, int64_t, uint8_t

from serverquant.blobs._blob cimport SQ_ERROR, SQ_OK, SQ_PREPARE, sq_step, sq_tensor
from serverquant.kernels._window cimport Window, sq_volume, sq_window
from serverquant.kernels.col2im._col2im cimport col2im_s32, sq_col2im_job
from serverquant.kernels.gemm._gemm cimport SQ_RAW_S32, gemm_u8, sq_epilogue
from serverquant.kernels.quantize._quantize cimport requantize_q31_u8
from serverquant.ops.dnnlowp._layer cimport Layer, layer_fold, layer_q31, new_layer, set_weight
from serverquant.ops.dnnlowp._params cimport Params, room
from serverquant.runtime._plan cimport Step, fail


# The layer's columns are (tap, output).
cdef struct Transposed:
    Layer layer
    Params rule
    sq_window window                # in: the output image, out: the input's pixels
    int64_t channels, outputs


cdef void run_image(Transposed* c, const sq_tensor* bias, const uint8_t* x, uint8_t* y, int32_t* columns,
                    int32_t* sums) noexcept nogil:
    """One image: a product makes the columns, they are added up, the sums requantized."""
    cdef const sq_epilogue* finish = &c.layer.ep
    cdef sq_epilogue raw = c.layer.ep
    cdef sq_col2im_job job
    raw.kind = SQ_RAW_S32
    gemm_u8(x, sq_volume(c.window.out), c.channels, c.layer.packed, &raw, columns, c.layer.columns)
    job.window, job.groups, job.images, job.channels = &c.window, 1, 1, c.outputs
    job.cols, job.y, job.bias = columns, sums, bias.data
    col2im_s32(&job)
    requantize_q31_u8(sums, y, sq_volume(c.window.in_) * c.outputs, finish.q31_multiplier, finish.q31_shift,
                      finish.zero_point, finish.lo, finish.hi)


cdef int run_transposed(sq_step* s) noexcept nogil:
    """Scratch: the columns of an image | its sums."""
    cdef Transposed* c = <Transposed*>s.ctx
    cdef const sq_tensor* x = s.in_[0]
    cdef const sq_tensor* bias = s.in_[2]
    cdef int64_t columns = room(sq_volume(c.window.out) * c.layer.columns * sizeof(int32_t))
    cdef int64_t pixels = sq_volume(c.window.in_) * c.outputs, i
    cdef char* scratch
    if c.layer.packed == NULL or c.layer.weight_version != s.in_[1].version:
        return SQ_PREPARE
    if bias.zero_point != 0:
        return fail(s, "the bias has zero point %d; it must be 0", bias.zero_point)
    if layer_fold(s, &c.layer, NULL, False, x.scale, x.zero_point) != SQ_OK:
        return SQ_ERROR
    if layer_q31(s, &c.layer, &c.rule, x.scale) != SQ_OK:
        return SQ_ERROR
    s.out[0].scale, s.out[0].zero_point = c.rule.scale, c.rule.zero_point
    if s.out[0].shape.size == 0:
        return SQ_OK
    scratch = <char*>s.scratch(s, columns + room(pixels * sizeof(int32_t)))
    if scratch == NULL:
        return fail(s, "no memory for the columns of a transposed convolution")
    for i in range(x.shape.dims[0]):
        run_image(c, bias, <const uint8_t*>x.data + i * sq_volume(c.window.out) * c.channels,
                  <uint8_t*>s.out[0].data + i * pixels, <int32_t*>scratch, <int32_t*>(scratch + columns))
    return SQ_OK


def transposed_step(Window window, int64_t channels, int64_t outputs, float scale, int zero_point) -> Step:
    """Y, of these parameters, = transposed convolution of X, NHWC; window: that of the convolution from Y to X. Prepare
    with `set_int8_weight`."""
    cdef Step step = Step()
    cdef int64_t columns = sq_volume(window.raw.kernel) * outputs
    cdef Transposed* c = <Transposed*>new_layer(step, sizeof(Transposed), columns)
    c.window, c.channels, c.outputs = window.raw, channels, outputs
    c.rule.scale, c.rule.zero_point = scale, zero_point
    step.c.run = run_transposed
    step.c.rows = 1
    step.kernel = "gemm_u8"
    return step


def set_int8_weight(Step step, weight, version) -> None:
    """weight: a `LayerWeight` of rows (tap, output), which the step keeps alive."""
    set_weight(&(<Transposed*>step.c.ctx).layer, weight, version)
    step.keep = weight
    step.kernel = weight.packed.row
