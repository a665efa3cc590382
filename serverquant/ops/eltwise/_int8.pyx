"""Native steps of sums of Int8 tensors."""
from libc.stdint cimport int64_t, uint8_t

from serverquant._base._threads cimport range_fn
from serverquant.blobs._blob cimport SQ_ERROR, SQ_INT8, SQ_OK, sq_step, sq_tensor
from serverquant.kernels.eltwise._eltwise cimport (
    add_u8_fast,
    add_u8_mobile,
    add_up,
    sq_add_mobile_job,
    sq_add_u8_job,
    sq_slow_input,
    sq_sum_slow_job,
    sum_u8_slow,
)
from serverquant.kernels.gemm._gemm cimport sq_epilogue
from serverquant.ops.dnnlowp._layer cimport Tail
from serverquant.ops.dnnlowp._params cimport Params, fill, narrow, of_input
from serverquant.ops.dnnlowp._quantized cimport QInput, Quantized, new_quantized
from serverquant.qparams._choose cimport choose_c
from serverquant.runtime._plan cimport Step, fail


# How a sum is made.
cdef struct Rule:
    int mid_bits            # of the intermediate parameters
    bint float_signed
    int64_t mid, post       # old broadcast of input 1; mid = 0: none

# A sum that is ready to run.
cdef union Job:
    sq_add_u8_job fast
    sq_sum_slow_job slow
    sq_add_mobile_job mobile


cdef void describe(const Params* p, const sq_tensor* x, sq_slow_input* item) noexcept nogil:
    """p is read for a float tensor."""
    cdef int zero_point
    item.data, item.is_float, item.mid, item.post = x.data, x.shape.kind != SQ_INT8, 0, 1
    of_input(p, x, &item.scale, &zero_point)
    item.zero_point = zero_point


cdef inline bint is_fast(const Rule* rule, const sq_slow_input* inputs, int count) noexcept nogil:
    return count == 2 and not rule.mid and not inputs[0].is_float and not inputs[1].is_float


cdef range_fn prepare_sum(const Rule* rule, const Params* p, const sq_slow_input* inputs, int count, uint8_t* y,
                          float scale, int zero_point, int64_t n, Job* job) noexcept nogil:
    cdef float lo = 0, hi = 0, mid_scale, least, most
    cdef int mid_zero_point, i
    if is_fast(rule, inputs, count):
        return add_u8_fast(&job.fast, <uint8_t*>inputs[0].data, inputs[0].scale, inputs[0].zero_point,
                           <uint8_t*>inputs[1].data, inputs[1].scale, inputs[1].zero_point, y, scale, zero_point,
                           p.relu, n)
    for i in range(count):
        least = inputs[i].scale * (0 - inputs[i].zero_point)
        most = inputs[i].scale * ((1 << p.precision) - 1 - inputs[i].zero_point)
        lo = least if i == 0 or least < lo else lo
        hi = most if i == 0 or most > hi else hi
    choose_c(lo, hi, rule.mid_bits, p.symmetric, p.power_of_two, &mid_scale, &mid_zero_point)
    return sum_u8_slow(&job.slow, inputs, count, mid_scale, mid_zero_point, rule.mid_bits, rule.float_signed, y, scale,
                       zero_point, p.relu)


cdef struct Sum:
    Quantized base
    Rule rule


cdef int64_t sum_scratch(sq_step* s) noexcept nogil:
    return s.n_in * sizeof(sq_slow_input)


cdef int sum_up(sq_step* s, const QInput* ins, uint8_t* y, float scale, int zero_point, void* scratch) noexcept nogil:
    """Inputs are taken as they are: a float one is a number of the sum, not a rounded one. Scratch: their description."""
    cdef Sum* c = <Sum*>s.ctx
    cdef int64_t n = s.out[0].shape.size
    cdef sq_slow_input* inputs = <sq_slow_input*>scratch
    cdef Job job
    cdef range_fn run
    cdef int i
    for i in range(s.n_in):
        describe(&c.base.params, s.in_[i], &inputs[i])
    if c.rule.mid:
        inputs[1].mid, inputs[1].post = c.rule.mid, c.rule.post
    run = prepare_sum(&c.rule, &c.base.params, inputs, s.n_in, y, scale, zero_point, n, &job)
    add_up(run, &job, s.n_in, n)
    if not is_fast(&c.rule, inputs, s.n_in):
        narrow(&c.base.params, y, n)
    return SQ_OK


def sum_step(options, Step floats, int count, bint float_signed, int64_t mid=0, int64_t post=1) -> Step:
    """Server set. mid, post: input 1 has `mid` elements, met by input 0 seen as (pre, mid, post)."""
    cdef Step step = Step()
    cdef Sum* c = <Sum*>new_quantized(step, sizeof(Sum), options, floats, sum_up, 0)
    c.base.extra = sum_scratch
    c.rule.mid_bits, c.rule.float_signed, c.rule.mid, c.rule.post = options.eltwise_precision, float_signed, mid, post
    step.kernel = "add_u8_fast" if count == 2 and not mid else "sum_u8_slow"
    return step


cdef struct Mobile:
    float scale
    int zero_point
    bint relu


cdef range_fn prepare_mobile(sq_step* s, const Mobile* c, const sq_slow_input* inputs, uint8_t* y, Job* job) noexcept nogil:
    """NULL: the error is written."""
    cdef range_fn run = add_u8_mobile(&job.mobile, <const uint8_t*>inputs[0].data, inputs[0].scale, inputs[0].zero_point,
                                      <const uint8_t*>inputs[1].data, inputs[1].scale, inputs[1].zero_point, y, c.scale,
                                      c.zero_point, c.relu)
    if run == NULL:
        fail(s, "scales %g and %g of the inputs over Y_scale %g must lie in [2^-14, 2^8)", inputs[0].scale,
             inputs[1].scale, c.scale)
    s.out[0].scale, s.out[0].zero_point = c.scale, c.zero_point
    return run


cdef int run_mobile(sq_step* s) noexcept nogil:
    cdef sq_slow_input[2] inputs
    cdef Job job
    cdef range_fn run
    describe(NULL, s.in_[0], &inputs[0])
    describe(NULL, s.in_[1], &inputs[1])
    run = prepare_mobile(s, <Mobile*>s.ctx, inputs, <uint8_t*>s.out[0].data, &job)
    if run == NULL:
        return SQ_ERROR
    add_up(run, &job, 2, s.out[0].shape.size)
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


# ---- sums in a layer's step ----------------------------------------------------------------------------------------

cdef struct SumTail:
    Params params
    Rule rule
    Mobile mobile
    bint is_mobile
    int at                  # which operand the layer is
    sq_slow_input[2] inputs
    Job job


cdef int start_sum(sq_step* s, void* ctx, uint8_t* bytes, float scale, int zero_point, sq_epilogue* ep) noexcept nogil:
    cdef SumTail* c = <SumTail*>ctx
    cdef sq_slow_input* own = &c.inputs[c.at]
    describe(&c.params, s.in_[s.n_in - 1], &c.inputs[1 - c.at])
    own.data, own.is_float, own.scale, own.zero_point, own.mid, own.post = bytes, 0, scale, zero_point, 0, 1
    if c.is_mobile:
        ep.after = prepare_mobile(s, &c.mobile, c.inputs, bytes, &c.job)
    else:
        ep.after = prepare_sum(&c.rule, &c.params, c.inputs, 2, bytes, c.params.scale, c.params.zero_point,
                               s.out[0].shape.size, &c.job)
        s.out[0].scale, s.out[0].zero_point = c.params.scale, c.params.zero_point
    ep.after_job = &c.job
    return SQ_OK if ep.after != NULL else SQ_ERROR


cdef SumTail* new_tail(Tail tail, int at, str kernel) except NULL:
    cdef SumTail* c = <SumTail*>tail.new_context(sizeof(SumTail))
    tail.start, tail.others, tail.kernel, c.at = start_sum, 1, kernel, at
    return c


def sum_tail(options, int at, bint float_signed) -> Tail:
    """The server set's sum of a layer's output, operand `at` (0 or 1), and of the step's last input; fixed parameters."""
    cdef Tail tail = Tail()
    cdef SumTail* c = new_tail(tail, at, "add_u8_fast")
    fill(&c.params, options)
    c.rule.mid_bits, c.rule.float_signed = options.eltwise_precision, float_signed
    return tail


def mobile_tail(float scale, int zero_point, bint relu, int at) -> Tail:
    """The same of the mobile set."""
    cdef Tail tail = Tail()
    cdef SumTail* c = new_tail(tail, at, "add_u8_mobile")
    c.is_mobile, c.mobile.scale, c.mobile.zero_point, c.mobile.relu = True, scale, zero_point, relu
    return tail
