"""Native steps of sums and products."""
from libc.stdint cimport int64_t

from serverquant.blobs._blob cimport SQ_OK, sq_step
from serverquant.kernels.eltwise._eltwise cimport (
    ADD,
    F32,
    F64,
    I32,
    I64,
    MUL,
    binary,
    binary_middle,
    binary_strided,
    sum_in_order,
)
from serverquant.runtime._plan cimport Step, fail

from serverquant.blobs import dtypes

cdef dict OPS = {"Add": ADD, "Mul": MUL}
cdef dict TYPES = {dtypes.FLOAT: F32, dtypes.DOUBLE: F64, dtypes.INT32: I32, dtypes.INT64: I64}


cdef struct Binary:
    int op, dtype
    int64_t pre, mid, post      # old broadcast; pre follows from the data
    int ndim                    # numpy's
    int64_t dims[16]
    int64_t a_strides[16]
    int64_t b_strides[16]


cdef Step new_step(str op, int dtype, int (*run)(sq_step*) noexcept nogil, int rows):
    cdef Step step = Step()
    cdef Binary* c = <Binary*>step.new_context(sizeof(Binary))
    c.op, c.dtype = OPS[op], TYPES[dtype]
    step.c.run = run
    step.c.rows = rows
    step.kernel = f"{op.lower()}_{dtypes.name(dtype)}"
    return step


cdef int run_binary(sq_step* s) noexcept nogil:
    cdef Binary* c = <Binary*>s.ctx
    binary(c.op, c.dtype, s.in_[0].data, s.in_[1].data, s.out[0].data, s.out[0].shape.size)
    return SQ_OK


def binary_step(str op, int dtype) -> Step:
    """Equal shapes."""
    return new_step(op, dtype, run_binary, 3)


cdef int run_middle(sq_step* s) noexcept nogil:
    cdef Binary* c = <Binary*>s.ctx
    cdef int64_t block = c.mid * c.post
    cdef int64_t pre = s.out[0].shape.size // block if block else 0
    binary_middle(c.op, c.dtype, s.in_[0].data, s.in_[1].data, s.out[0].data, pre, c.mid, c.post)
    return SQ_OK


def middle_step(str op, int dtype, int64_t pre, int64_t mid, int64_t post) -> Step:
    """Input 0 is (pre, mid, post), input 1 (mid)."""
    cdef Step step = new_step(op, dtype, run_middle, 1 if pre > 1 else 0)
    cdef Binary* c = <Binary*>step.c.ctx
    c.mid, c.post = mid, post
    return step


cdef int run_strided(sq_step* s) noexcept nogil:
    cdef Binary* c = <Binary*>s.ctx
    c.dims[0] = s.out[0].shape.dims[0]
    binary_strided(c.op, c.dtype, s.in_[0].data, c.a_strides, s.in_[1].data, c.b_strides, s.out[0].data, c.ndim, c.dims)
    return SQ_OK


def strided_step(str op, int dtype, dims, a_strides, b_strides) -> Step:
    """numpy's broadcast: strides in elements over the joint dims, 0 where an input repeats."""
    rows = (1 if a_strides[0] else 0) | (2 if b_strides[0] else 0)
    cdef Step step = new_step(op, dtype, run_strided, rows)
    cdef Binary* c = <Binary*>step.c.ctx
    c.ndim = len(dims)
    for i in range(c.ndim):
        c.dims[i], c.a_strides[i], c.b_strides[i] = dims[i], a_strides[i], b_strides[i]
    return step


cdef struct Sum:
    int dtype

cdef int run_sum(sq_step* s) noexcept nogil:
    cdef const void** inputs = <const void**>s.scratch(s, s.n_in * sizeof(void*))
    cdef int i
    if inputs == NULL:
        return fail(s, "no memory for scratch")
    for i in range(s.n_in):
        inputs[i] = s.in_[i].data
    sum_in_order((<Sum*>s.ctx).dtype, inputs, s.n_in, s.out[0].data, s.out[0].shape.size)
    return SQ_OK


def sum_step(int dtype, int count) -> Step:
    """All inputs, from left to right."""
    cdef Step step = Step()
    (<Sum*>step.new_context(sizeof(Sum))).dtype = TYPES[dtype]
    step.c.run = run_sum
    step.c.rows = (1 << count) - 1 if count < 32 else 0
    step.kernel = f"sum_{dtypes.name(dtype)}"
    return step
