"""Native steps of sums of Int8 tensors."""
from libc.stdint cimport int64_t, uint8_t

from serverquant.blobs._blob cimport SQ_INT8, SQ_OK, sq_step, sq_tensor
from serverquant.kernels.binary._binary cimport Kernel, binary_middle, find_kernel, fold
from serverquant.kernels.eltwise._eltwise cimport (
    add_u8_fast,
    add_u8_mobile,
    add_u8_mobile_prepare,
    sq_add_mobile_job,
    sq_slow_input,
    sum_u8_slow,
)
from serverquant.kernels.quantize._quantize cimport dequantize_u8
from serverquant.ops.dnnlowp._params cimport Params, fill, narrow, of_input, of_output, room
from serverquant.qparams._choose cimport choose_c
from serverquant.runtime._plan cimport Step, fail

cdef Kernel ADD, SUM

find_kernel(&ADD, "add_f32")
find_kernel(&SUM, "sum_f32")


cdef struct Sum:
    Params params
    int mid_bits            # of the intermediate parameters
    bint float_signed
    int64_t mid, post       # old broadcast of input 1; mid = 0: none


cdef int run_sum(sq_step* s) noexcept nogil:
    """Scratch: the inputs' description | floats of all inputs and their sum (dynamic) | the result (dequantized)."""
    cdef Sum* c = <Sum*>s.ctx
    cdef sq_tensor* y = s.out[0]
    cdef int64_t n = y.shape.size
    cdef int64_t head = room(s.n_in * (sizeof(sq_slow_input) + sizeof(void*)))
    cdef int64_t floats = 0 if c.params.fixed else room(n * sizeof(float)) * (s.n_in + 1)
    cdef char* scratch = <char*>s.scratch(s, head + floats + (room(n) if c.params.dequantize else 0))
    cdef sq_slow_input* inputs = <sq_slow_input*>scratch
    cdef uint8_t* out = <uint8_t*>y.data
    cdef float scale
    cdef int zero_point, i
    if scratch == NULL:
        return fail(s, "no memory for scratch")
    for i in range(s.n_in):
        describe(c, s.in_[i], i, &inputs[i])
    scale, zero_point = c.params.scale, c.params.zero_point
    if not c.params.fixed:
        float_sum(c, s, inputs, <float*>(scratch + head), n)
        of_output(&c.params, <float*>(scratch + head), n, &scale, &zero_point)
    if c.params.dequantize:
        out = <uint8_t*>(scratch + head + floats)
    add_up(c, s, inputs, out, scale, zero_point, n)
    if c.params.dequantize:
        dequantize_u8(out, <float*>y.data, n, scale, zero_point)
    else:
        y.scale, y.zero_point = scale, zero_point
    return SQ_OK


cdef void describe(const Sum* c, sq_tensor* x, int i, sq_slow_input* item) noexcept nogil:
    cdef int zero_point
    item.data = x.data
    item.is_float = x.shape.kind != SQ_INT8
    of_input(&c.params, x, &item.scale, &zero_point)
    item.zero_point = zero_point
    item.mid = c.mid if i == 1 else 0
    item.post = c.post if i == 1 else 1


cdef void float_sum(const Sum* c, sq_step* s, const sq_slow_input* inputs, float* total, int64_t n) noexcept nogil:
    """What the float operator gives for the dequantized inputs."""
    cdef const void** parts = <const void**>(inputs + s.n_in)
    cdef int64_t stride = room(n * sizeof(float)) // sizeof(float)
    cdef int i
    for i in range(s.n_in):
        parts[i] = inputs[i].data
        if not inputs[i].is_float:
            parts[i] = total + (i + 1) * stride
            dequantize_u8(<uint8_t*>inputs[i].data, total + (i + 1) * stride, s.in_[i].shape.size, inputs[i].scale,
                          inputs[i].zero_point)
    if c.mid:
        binary_middle(&ADD, parts[0], parts[1], total, n // (c.mid * c.post) if n else 0, c.mid, c.post)
    else:
        fold(&SUM, parts, s.n_in, total, n)


cdef void add_up(const Sum* c, sq_step* s, const sq_slow_input* inputs, uint8_t* out, float scale, int zero_point,
                 int64_t n) noexcept nogil:
    cdef float lo = 0, hi = 0, mid_scale, least, most
    cdef int mid_zero_point, i
    if s.n_in == 2 and not c.mid and not inputs[0].is_float and not inputs[1].is_float:
        add_u8_fast(<uint8_t*>inputs[0].data, inputs[0].scale, inputs[0].zero_point, <uint8_t*>inputs[1].data,
                    inputs[1].scale, inputs[1].zero_point, out, scale, zero_point, c.params.relu, n)
        return
    for i in range(s.n_in):
        least = inputs[i].scale * (0 - inputs[i].zero_point)
        most = inputs[i].scale * ((1 << c.params.precision) - 1 - inputs[i].zero_point)
        lo = least if i == 0 or least < lo else lo
        hi = most if i == 0 or most > hi else hi
    choose_c(lo, hi, c.mid_bits, c.params.symmetric, c.params.power_of_two, &mid_scale, &mid_zero_point)
    sum_u8_slow(inputs, s.n_in, mid_scale, mid_zero_point, c.mid_bits, c.float_signed, out, scale, zero_point,
                c.params.relu, n)
    narrow(&c.params, out, n)


def sum_step(options, int count, bint float_signed, int64_t mid=0, int64_t post=1, bint batched=True) -> Step:
    """Server set. mid, post: input 1 has `mid` elements, met by input 0 seen as (pre, mid, post)."""
    cdef Step step = Step()
    cdef Sum* c = <Sum*>step.new_context(sizeof(Sum))
    fill(&c.params, options)
    c.mid_bits, c.float_signed, c.mid, c.post = options.eltwise_precision, float_signed, mid, post
    step.c.run = run_sum
    step.c.rows = (1 if batched else 0) if mid else (1 << count) - 1 if count < 32 else 0
    step.kernel = "add_u8_fast" if count == 2 and not mid else "sum_u8_slow"
    return step


cdef struct Mobile:
    float scale
    int zero_point
    bint relu

cdef int run_mobile(sq_step* s) noexcept nogil:
    cdef Mobile* c = <Mobile*>s.ctx
    cdef sq_tensor* a = s.in_[0]
    cdef sq_tensor* b = s.in_[1]
    cdef sq_add_mobile_job job
    if add_u8_mobile_prepare(&job, a.scale, a.zero_point, b.scale, b.zero_point, c.scale, c.zero_point, c.relu) != 0:
        return fail(s, "scales %g and %g of the inputs over Y_scale %g must lie in [2^-14, 2^8)", a.scale, b.scale, c.scale)
    add_u8_mobile(&job, <uint8_t*>a.data, <uint8_t*>b.data, <uint8_t*>s.out[0].data, a.shape.size)
    s.out[0].scale, s.out[0].zero_point = c.scale, c.zero_point
    return SQ_OK


def mobile_step(float scale, int zero_point, bint relu) -> Step:
    """Mobile set: two inputs of one shape."""
    cdef Step step = Step()
    cdef Mobile* c = <Mobile*>step.new_context(sizeof(Mobile))
    c.scale, c.zero_point, c.relu = scale, zero_point, relu
    step.c.run = run_mobile
    step.c.rows = 3
    step.kernel = "add_u8_mobile"
    return step
