"""Native steps of the pools."""
from libc.stdint cimport int64_t, uint8_t, uint32_t
from libc.string cimport memcpy

from serverquant._base._threads cimport team_size
from serverquant.blobs._blob cimport SQ_OK, sq_step, sq_tensor
from serverquant.kernels.pool._pool cimport (
    Pool,
    average_pool_f32,
    average_pool_mobile_u8,
    average_pool_u8,
    max_pool_f32,
    max_pool_u8,
    pool_scratch,
    pool_work,
    sq_pool,
)
from serverquant.ops.dnnlowp._params cimport Params, narrow
from serverquant.ops.dnnlowp._quantized cimport QInput, Quantized, new_quantized
from serverquant.runtime._plan cimport Step, fail


cdef struct PoolJob:
    sq_pool pool
    Params params
    bint average, include_pad
    int64_t count               # mobile: elements of the kernel


cdef PoolJob* new_job(Step step, Pool pool, bint average, int (*run)(sq_step*) noexcept nogil) except NULL:
    cdef PoolJob* c = <PoolJob*>step.new_context(sizeof(PoolJob))
    c.pool, c.average = pool.raw, average
    step.c.run = run
    step.c.rows = 1
    step.keep = pool
    step.kernel = pool.kernel
    return c


# ---- float ---------------------------------------------------------------------------------------------------------

cdef int run_float(sq_step* s) noexcept nogil:
    cdef PoolJob* c = <PoolJob*>s.ctx
    cdef void* scratch
    cdef int team
    c.pool.batch = s.in_[0].shape.dims[0]
    if s.out[0].shape.size == 0:
        return SQ_OK
    team = team_size(pool_work(&c.pool))
    scratch = s.scratch(s, pool_scratch(&c.pool, team))
    if scratch == NULL:
        return fail(s, "no memory for scratch")
    if c.average:
        average_pool_f32(&c.pool, c.include_pad, <float*>s.in_[0].data, <float*>s.out[0].data, scratch, team)
    else:
        max_pool_f32(&c.pool, <float*>s.in_[0].data, <float*>s.out[0].data, scratch, team)
    return SQ_OK


def float_step(Pool pool, *, bint average, bint include_pad=False) -> Step:
    """Float in and out."""
    cdef Step step = Step()
    new_job(step, pool, average, run_float).include_pad = include_pad
    return step


# ---- server set ----------------------------------------------------------------------------------------------------

cdef struct QuantizedPool:
    Quantized base
    sq_pool pool
    bint average
    int team                    # of this run


cdef int64_t quantized_scratch(sq_step* s) noexcept nogil:
    cdef QuantizedPool* c = <QuantizedPool*>s.ctx
    c.pool.batch = s.in_[0].shape.dims[0]
    c.team = team_size(pool_work(&c.pool))
    return pool_scratch(&c.pool, c.team)


cdef int pool_bytes(sq_step* s, const QInput* ins, uint8_t* y, float scale, int zero_point, void* scratch) noexcept nogil:
    cdef const QuantizedPool* c = <QuantizedPool*>s.ctx
    if s.out[0].shape.size == 0:
        return SQ_OK
    if c.average:
        average_pool_u8(&c.pool, ins.zero_point, ins.scale / scale, zero_point, 0, ins.q, y, scratch, c.team)
        narrow(&c.base.params, y, s.out[0].shape.size)
    else:
        max_pool_u8(&c.pool, 0, ins.q, y, scratch, c.team)
    return SQ_OK


def int8_step(Pool pool, options, *, bint average) -> Step:
    """Server set. A maximum has the input's parameters, whatever the options say."""
    cdef Step step = Step()
    cdef QuantizedPool* c = <QuantizedPool*>new_quantized(
        step, sizeof(QuantizedPool), options, float_step(pool, average=average), pool_bytes, 1)
    c.pool, c.average, c.base.extra, c.base.keeps = pool.raw, average, quantized_scratch, not average
    c.base.params.fixed = c.base.params.fixed and average
    step.kernel = pool.kernel
    return step


# ---- mobile set ----------------------------------------------------------------------------------------------------

cdef int run_mobile(sq_step* s) noexcept nogil:
    cdef PoolJob* c = <PoolJob*>s.ctx
    cdef const sq_tensor* x = s.in_[0]
    cdef sq_tensor* y = s.out[0]
    cdef float ratio = x.scale / (c.params.scale * <float>c.count)
    cdef int low = c.params.zero_point if c.params.clamp else 0
    cdef uint32_t bits
    cdef void* scratch
    cdef int team
    if not c.average and (x.scale != c.params.scale or x.zero_point != c.params.zero_point):
        return fail(s, "Y_scale and Y_zero_point are %g and %d, but the input's are %g and %d; they must be equal",
                    c.params.scale, c.params.zero_point, x.scale, x.zero_point)
    if c.average and not (ratio >= 2.0**-34 and ratio < 2.0**24):
        return fail(s, "an average of %lld elements from scale %g to Y_scale %g has the factor %g; it must be from 2^-34 "
                       "to below 2^24", <long long>c.count, x.scale, c.params.scale, ratio)
    y.scale, y.zero_point = c.params.scale, c.params.zero_point
    c.pool.batch = x.shape.dims[0]
    if y.shape.size == 0:
        return SQ_OK
    team = team_size(pool_work(&c.pool))
    scratch = s.scratch(s, pool_scratch(&c.pool, team))
    if scratch == NULL:
        return fail(s, "no memory for scratch")
    if c.average:
        memcpy(&bits, &ratio, 4)
        average_pool_mobile_u8(&c.pool, x.zero_point, bits & 0x7FFFFF | 0x800000, 150 - (bits >> 23), y.zero_point, low,
                               <const uint8_t*>x.data, <uint8_t*>y.data, scratch, team)
    else:
        max_pool_u8(&c.pool, low, <const uint8_t*>x.data, <uint8_t*>y.data, scratch, team)
    return SQ_OK


def mobile_step(Pool pool, float scale, int zero_point, int64_t count, *, bint average,
                bint relu) -> Step:
    """Mobile set; count: elements of the kernel, by which an average divides. relu: nothing below the zero point."""
    cdef Step step = Step()
    cdef PoolJob* c = new_job(step, pool, average, run_mobile)
    c.params.scale, c.params.zero_point, c.params.clamp, c.count = scale, zero_point, relu, count
    return step
