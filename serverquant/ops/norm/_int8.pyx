"""Native steps of normalisation and softmax on Int8 tensors."""
from libc.math cimport exp, rint, sqrtf
from libc.stdint cimport int64_t, uint8_t, uint32_t

from serverquant.blobs._blob cimport SQ_OK, sq_step, sq_tensor
from serverquant.kernels.affine._affine cimport norm_u8, sq_affine_job
from serverquant.kernels.softmax._softmax cimport softmax_u8
from serverquant.ops.dnnlowp._quantized cimport QInput, Quantized, new_quantized
from serverquant.runtime._plan cimport Step, fail


cdef struct Softmax:
    uint32_t table[256]
    float x_scale           # that the table was made for; 0: none yet
    int64_t width
    float y_scale
    int y_zero_point


cdef void fill_table(Softmax* c, float x_scale, int64_t width) noexcept nogil:
    """exp((i - 255) * scale) in units that let a row's sum fit 32 bits."""
    cdef double unit = min(4294967295.0 / <double>width, 8388607.0)
    cdef int i
    for i in range(256):
        c.table[i] = <uint32_t>rint(unit * exp(<double>(i - 255) * <double>x_scale))
    c.x_scale, c.width = x_scale, width


cdef int run_mobile_softmax(sq_step* s) noexcept nogil:
    cdef Softmax* c = <Softmax*>s.ctx
    cdef const sq_tensor* x = s.in_[0]
    cdef sq_tensor* y = s.out[0]
    cdef int64_t rows = x.shape.dims[0], width
    if rows == 0:
        return fail(s, "a batch of 0 has no softmax")
    width = x.shape.size // rows
    if width and (c.x_scale != x.scale or c.width != width):
        fill_table(c, x.scale, width)
    softmax_u8(<const uint8_t*>x.data, <uint8_t*>y.data, rows, width, c.table)
    y.scale, y.zero_point = c.y_scale, c.y_zero_point
    return SQ_OK


def mobile_softmax_step(float y_scale, int y_zero_point) -> Step:
    """Over all dims but the first."""
    cdef Step step = Step()
    cdef Softmax* c = <Softmax*>step.new_context(sizeof(Softmax))
    c.y_scale, c.y_zero_point = y_scale, y_zero_point
    step.c.run = run_mobile_softmax
    step.c.rows = 1
    step.kernel = "softmax_u8"
    return step


# ---- SpatialBN, server set -----------------------------------------------------------------------------------------

cdef struct SpatialBN:
    Quantized base
    int64_t channels, inner
    float epsilon


cdef int64_t spatial_bn_scratch(sq_step* s) noexcept nogil:
    return 2 * (<SpatialBN*>s.ctx).channels * sizeof(float)


cdef int spatial_bn(sq_step* s, const QInput* ins, uint8_t* y, float scale, int zero_point,
                    void* scratch) noexcept nogil:
    """alpha and beta of each channel in units of the output, then one multiply-add."""
    cdef const SpatialBN* c = <SpatialBN*>s.ctx
    cdef const float* gamma = <const float*>s.in_[1].data
    cdef const float* bias = <const float*>s.in_[2].data
    cdef const float* mean = <const float*>s.in_[3].data
    cdef const float* var = <const float*>s.in_[4].data
    cdef float* alpha = <float*>scratch
    cdef float* beta = alpha + c.channels
    cdef float ratio = ins[0].scale / scale, inverse, a
    cdef sq_affine_job job
    cdef int64_t i
    for i in range(c.channels):
        inverse = <float>1 / sqrtf(var[i] + c.epsilon)
        a = gamma[i] * inverse
        beta[i] = a * mean[i]
        beta[i] = (bias[i] - beta[i]) / scale
        alpha[i] = a * ratio
    job.a, job.y, job.alpha, job.beta = ins[0].q, y, alpha, beta
    job.channels, job.inner, job.a_zero_point, job.zero_point = c.channels, c.inner, ins[0].zero_point, zero_point
    job.lo, job.hi = zero_point if c.base.params.clamp else 0, 255
    norm_u8(&job, s.out[0].shape.size)
    return SQ_OK


def spatial_bn_step(options, Step floats, int64_t channels, int64_t inner, float epsilon, bint relu) -> Step:
    """X is (outer, channels, inner)."""
    cdef Step step = Step()
    cdef SpatialBN* c = <SpatialBN*>new_quantized(step, sizeof(SpatialBN), options, floats, spatial_bn, 1, relu)
    c.base.extra, c.base.bare = spatial_bn_scratch, True
    c.channels, c.inner, c.epsilon = channels, inner, epsilon
    step.kernel = "norm_u8"
    return step
