"""Native steps of products and linear maps of Int8 tensors, engine DNNLOWP."""
from libc.stdint cimport int32_t, int64_t, uint8_t

from serverquant.blobs._blob cimport SQ_OK, SQ_PREPARE, sq_step
from serverquant.kernels.affine._affine cimport linear_u8, mul_u8, sq_affine_job
from serverquant.kernels.quantize._quantize cimport quantize_wide_s32
from serverquant.ops.dnnlowp._quantized cimport QInput, Quantized, new_quantized, run_quantized
from serverquant.runtime._plan cimport Step


cdef struct Mul:
    Quantized base
    int64_t channels, inner     # how input 1 meets input 0: element i / inner % channels; 0 channels: one by one


cdef int mul(sq_step* s, const QInput* ins, uint8_t* y, float scale, int zero_point, void* scratch) noexcept nogil:
    cdef const Mul* c = <Mul*>s.ctx
    cdef sq_affine_job job
    cdef int64_t n = s.out[0].shape.size
    if n == 0:
        return SQ_OK
    job.a, job.b, job.y = ins[0].q, ins[1].q, y
    job.channels, job.inner = c.channels if c.channels else n, c.inner
    job.a_zero_point, job.b_zero_point = ins[0].zero_point, ins[1].zero_point
    job.multiplier = ins[0].scale * ins[1].scale / scale
    job.zero_point, job.lo, job.hi = zero_point, 0, (1 << c.base.params.precision) - 1
    mul_u8(&job, n)
    return SQ_OK


def mul_step(options, Step floats, int64_t channels, int64_t inner) -> Step:
    """C = A * B; B has `channels` elements (0: as many as A), each for `inner` neighbours of A."""
    cdef Step step = Step()
    cdef Mul* c = <Mul*>new_quantized(step, sizeof(Mul), options, floats, mul, 3)
    c.channels, c.inner = channels, inner
    step.kernel = "mul_u8"
    return step


# ---- ElementwiseLinear ---------------------------------------------------------------------------------------------

cdef struct Linear:
    Quantized base
    int64_t columns
    const uint8_t* w            # NULL: nothing was prepared yet
    float w_scale
    int w_zero_point
    unsigned long long version


cdef int64_t linear_scratch(sq_step* s) noexcept nogil:
    return (<Linear*>s.ctx).columns * sizeof(int32_t)


cdef int linear(sq_step* s, const QInput* ins, uint8_t* y, float scale, int zero_point, void* scratch) noexcept nogil:
    """Scratch: b in units of the product."""
    cdef const Linear* c = <Linear*>s.ctx
    cdef sq_affine_job job
    cdef float unit = ins[0].scale * c.w_scale
    if s.out[0].shape.size == 0:
        return SQ_OK
    quantize_wide_s32(<const float*>s.in_[2].data, <int32_t*>scratch, c.columns, unit, 0, 32)
    job.a, job.b, job.bias, job.y = ins[0].q, c.w, <int32_t*>scratch, y
    job.channels, job.inner = c.columns, 1
    job.a_zero_point, job.b_zero_point, job.multiplier = ins[0].zero_point, c.w_zero_point, unit / scale
    job.zero_point, job.lo, job.hi = zero_point, 0, (1 << c.base.params.precision) - 1
    linear_u8(&job, s.out[0].shape.size)
    return SQ_OK


cdef int run_linear(sq_step* s) noexcept nogil:
    cdef const Linear* c = <Linear*>s.ctx
    if c.w == NULL or c.version != s.in_[1].version:
        return SQ_PREPARE
    return run_quantized(s)


def linear_step(options, Step floats, int64_t columns) -> Step:
    """Y = X * w + b for each column; prepare with `set_weight`."""
    cdef Step step = Step()
    cdef Linear* c = <Linear*>new_quantized(step, sizeof(Linear), options, floats, linear, 1)
    c.columns, c.base.extra = columns, linear_scratch
    step.c.run, step.kernel = run_linear, "linear_u8"
    return step


def set_weight(Step step, const uint8_t[::1] w, float scale, int zero_point, version) -> None:
    """w quantized, one set of parameters for all columns."""
    cdef Linear* c = <Linear*>step.c.ctx
    c.w, c.w_scale, c.w_zero_point, c.version = &w[0], scale, zero_point, version
    step.keep = (step.keep, w)
