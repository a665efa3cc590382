"""Native steps of the pools."""
from libc.stdint cimport int64_t, uint8_t, uint32_t
from libc.string cimport memcpy

from serverquant._base._threads cimport team_size
from serverquant.blobs._blob cimport SQ_INT8, SQ_OK, sq_step, sq_tensor
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
from serverquant.kernels.quantize._quantize cimport dequantize_u8
from serverquant.ops.dnnlowp._params cimport Params, fill, narrow, of_input, of_output, quantize_input, room
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

cdef void float_pool(const PoolJob* c, const float* x, float* y, void* scratch, int team) noexcept nogil:
    if c.average:
        average_pool_f32(&c.pool, c.include_pad, x, y, scratch, team)
    else:
        max_pool_f32(&c.pool, x, y, scratch, team)


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
    float_pool(c, <float*>s.in_[0].data, <float*>s.out[0].data, scratch, team)
    return SQ_OK


def float_step(Pool pool, *, bint average, bint include_pad=False) -> Step:
    """Float in and out."""
    cdef Step step = Step()
    new_job(step, pool, average, run_float).include_pad = include_pad
    return step


# ---- server set ----------------------------------------------------------------------------------------------------

cdef int run_int8(sq_step* s) noexcept nogil:
    """Scratch: the kernel's | X quantized, if it is float | X and Y as floats (dynamic) | Y as bytes (dequantized)."""
    cdef PoolJob* c = <PoolJob*>s.ctx
    cdef const sq_tensor* x = s.in_[0]
    cdef sq_tensor* y = s.out[0]
    cdef bint is_float = x.shape.kind != SQ_INT8
    cdef bint dynamic = c.average and not c.params.fixed
    cdef int64_t own, quantized, floats, values
    cdef const uint8_t* q = <const uint8_t*>x.data
    cdef uint8_t* out = <uint8_t*>y.data
    cdef char* scratch
    cdef float sx, sy
    cdef int zx, zy, team
    of_input(&c.params, x, &sx, &zx)
    sy, zy = sx, zx
    c.pool.batch = x.shape.dims[0]
    team = team_size(pool_work(&c.pool))
    own, quantized = room(pool_scratch(&c.pool, team)), room(x.shape.size) if is_float else 0
    floats, values = room(x.shape.size * 4) if dynamic else 0, room(y.shape.size * 4) if dynamic else 0
    scratch = <char*>s.scratch(s, own + quantized + floats + values + (room(y.shape.size) if c.params.dequantize else 0))
    if scratch == NULL:
        return fail(s, "no memory for scratch")
    if is_float:
        q = <uint8_t*>(scratch + own)
        quantize_input(&c.params, x, <uint8_t*>q, sx, zx)
    if c.average:
        if dynamic:
            choose_average(c, x, q, sx, zx, <float*>(scratch + own + quantized), scratch, team, y.shape.size, &sy, &zy)
        else:
            sy, zy = c.params.scale, c.params.zero_point
    if c.params.dequantize:
        out = <uint8_t*>(scratch + own + quantized + floats + values)
    if y.shape.size:
        if c.average:
            average_pool_u8(&c.pool, zx, sx / sy, zy, 0, q, out, scratch, team)
            narrow(&c.params, out, y.shape.size)
        else:
            max_pool_u8(&c.pool, 0, q, out, scratch, team)
    if c.params.dequantize:
        dequantize_u8(out, <float*>y.data, y.shape.size, sy, zy)
    else:
        y.scale, y.zero_point = sy, zy
    return SQ_OK


cdef void choose_average(const PoolJob* c, const sq_tensor* x, const uint8_t* q, float sx, int zx, float* floats,
                         void* scratch, int team, int64_t outputs, float* sy, int* zy) noexcept nogil:
    """The range of the float average of the dequantized input."""
    cdef float* values = <float*>(<char*>floats + room(x.shape.size * 4))
    if x.shape.kind == SQ_INT8:
        dequantize_u8(q, floats, x.shape.size, sx, zx)
    else:
        memcpy(floats, x.data, x.shape.size * 4)
    if outputs:
        float_pool(c, floats, values, scratch, team)
    of_output(&c.params, values, outputs, sy, zy)


def int8_step(Pool pool, options, *, bint average) -> Step:
    """Server set."""
    cdef Step step = Step()
    fill(&new_job(step, pool, average, run_int8).params, options)
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
