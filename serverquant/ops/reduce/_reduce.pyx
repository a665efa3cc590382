"""Native steps of the reductions."""
cimport cython
from libc.stdint cimport int32_t, int64_t
from libc.string cimport memset

from serverquant.blobs._blob cimport SQ_OK, sq_shape, sq_step, sq_tensor
from serverquant.kernels.binary cimport _binary
from serverquant.kernels.binary._binary cimport binary_strided
from serverquant.kernels.reduce cimport _reduce as kernels
from serverquant.kernels.reduce._reduce cimport top_k
from serverquant.kernels.reduce._reduce cimport reduce as reduce_axis
from serverquant.kernels.unary._unary cimport Map, find_map, run_map
from serverquant.runtime._plan cimport Step, fail

ctypedef fused number:
    float
    double
    int32_t
    int64_t

cdef enum:
    F32 = 0
    F64 = 1
    I32 = 2
    I64 = 3

cdef enum:
    NOTHING = 0
    SQRT = 1        # f32 only
    SCALE = 2       # by f32(1/n)
    DIVIDE = 3      # by n

cdef dict TYPES = {"f32": F32, "f64": F64, "i32": I32, "i64": I64}


cdef struct Reduce:
    kernels.Kernel first, then
    _binary.Kernel by_number    # of SCALE and DIVIDE
    Map sqrt
    int finish, dtype
    bint keep_dims, zero_of_nothing
    bint reduced[16]


cdef void as_number(int dtype, double value, void* out) noexcept nogil:
    """A value in a tensor's type."""
    if dtype == F32:
        (<float*>out)[0] = <float>value
    elif dtype == F64:
        (<double*>out)[0] = value
    elif dtype == I32:
        (<int32_t*>out)[0] = <int32_t>value
    else:
        (<int64_t*>out)[0] = <int64_t>value


cdef int join_axes(const Reduce* c, const sq_shape* x, int64_t* sizes, bint* reduced) noexcept nogil:
    """Neighbouring axes of a kind are one; how many are left. Without any to reduce there is one of 1 at the end."""
    cdef int count = 0, d
    cdef bint found = False
    for d in range(x.ndim):
        if count > 0 and reduced[count - 1] == c.reduced[d]:
            sizes[count - 1] *= x.dims[d]
        else:
            sizes[count], reduced[count] = x.dims[d], c.reduced[d]
            count += 1
        found = found or c.reduced[d]
    if not found:
        sizes[count], reduced[count] = 1, True
        count += 1
    return count


cdef void finish_reduce(const Reduce* c, sq_tensor* y, int64_t count) noexcept nogil:
    cdef int64_t one = 1, zero = 0, n = y.shape.size
    cdef double room
    if c.finish == SQRT:
        run_map(&c.sqrt, y.data, y.data, n)
    elif c.finish != NOTHING and count > 0:
        as_number(c.dtype, <float>1.0 / <float>count if c.finish == SCALE else <double>count, &room)
        binary_strided(&c.by_number, y.data, &one, &room, &zero, y.data, 1, &n)


cdef int run_reduce(sq_step* s) noexcept nogil:
    """The last group of axes first; what is left over goes to scratch until the last pass."""
    cdef Reduce* c = <Reduce*>s.ctx
    cdef sq_tensor* x = s.in_[0]
    cdef sq_tensor* y = s.out[0]
    cdef int64_t sizes[17]
    cdef bint reduced[17]
    cdef int count, g, k, last = 0
    cdef int64_t outer, inner, half, passes = 0, used = 0
    cdef const void* source = x.data
    cdef char* target
    cdef char* scratch
    if y.shape.size == 0:
        return SQ_OK
    if x.shape.size == 0 and c.zero_of_nothing:
        memset(y.data, 0, y.shape.size * y.shape.item_bytes)
        return SQ_OK
    count = join_axes(c, &x.shape, sizes, reduced)
    half = y.shape.item_bytes
    for g in range(count):
        passes += reduced[g]
        last = g if reduced[g] else last
    for g in range(count):
        half *= 1 if g == last else sizes[g]
    # What passes leave goes to two halves in turn; the first one leaves the most.
    scratch = <char*>s.scratch(s, (2 * half if passes > 1 else 0) + 1)
    if scratch == NULL:
        return fail(s, "no memory for scratch")
    for g in range(count - 1, -1, -1):
        if not reduced[g]:
            continue
        outer, inner = 1, 1
        for k in range(count):
            if k < g:
                outer *= sizes[k]
            elif k > g:
                inner *= sizes[k]
        passes -= 1
        target = <char*>y.data if passes == 0 else scratch + used
        reduce_axis(&c.first if source == x.data else &c.then, source, target, outer, sizes[g], inner)
        used = half - used
        sizes[g] = 1
        source = target
    finish_reduce(c, y, x.shape.size // y.shape.size)
    return SQ_OK


cdef int reshape_reduce(sq_step* s, const sq_shape* const* ins, sq_shape* const* outs) noexcept nogil:
    cdef Reduce* c = <Reduce*>s.ctx
    cdef int d
    outs[0].ndim, outs[0].size = 0, 1
    for d in range(ins[0].ndim):
        if c.reduced[d] and not c.keep_dims:
            continue
        outs[0].dims[outs[0].ndim] = 1 if c.reduced[d] else ins[0].dims[d]
        outs[0].size *= outs[0].dims[outs[0].ndim]
        outs[0].ndim += 1
    return SQ_OK


def reduce_step(str first, str then, str finish, str dtype, list mask, bint keep_dims, bint zero_of_nothing) -> Step:
    """first, then: kernels; finish: "" or a kernel, sqrt, mul (by f32(1/n)) or div (by n). mask: which axes go."""
    cdef Step step = Step()
    cdef Reduce* c = <Reduce*>step.new_context(sizeof(Reduce))
    kernels.find_kernel(&c.first, first)
    kernels.find_kernel(&c.then, then)
    if finish.startswith("sqrt"):
        find_map(&c.sqrt, finish)
        c.finish = SQRT
    elif finish:
        _binary.find_kernel(&c.by_number, finish)
        c.finish = SCALE if finish.startswith("mul") else DIVIDE
    c.dtype, c.keep_dims, c.zero_of_nothing = TYPES[dtype], keep_dims, zero_of_nothing
    for i, flag in enumerate(mask):
        c.reduced[i] = flag
    step.c.run = run_reduce
    step.c.reshape = reshape_reduce
    step.kernel = first
    return step


# ---- with lengths --------------------------------------------------------------------------------------------------

cdef enum:
    SUM = 0
    MEAN = 1
    MAX = 2

cdef dict KINDS = {"sum": SUM, "mean": MEAN, "max": MAX}


cdef struct Lengths:
    int kind, dtype
    bint front


@cython.cdivision(True)   # towards zero in every build
cdef void reduce_line(const number* x, int64_t stride, int32_t length, int kind, number* y) noexcept nogil:
    cdef number value = x[0]
    cdef int32_t i
    for i in range(1, length):
        if kind == MAX:
            value = x[i * stride] if x[i * stride] > value else value
        else:
            value += x[i * stride]
    y[0] = value / <number>length if kind == MEAN else value


cdef int run_lengths(sq_step* s) noexcept nogil:
    cdef Lengths* c = <Lengths*>s.ctx
    cdef sq_tensor* x = s.in_[0]
    cdef sq_tensor* y = s.out[0]
    cdef int64_t items = y.shape.size, bytes = y.shape.item_bytes
    cdef int64_t n = x.shape.dims[0 if c.front else x.shape.ndim - 1]
    cdef int64_t stride = items if c.front else 1, i
    cdef int32_t length
    cdef char* at
    cdef char* to
    if x.shape.size == 0:
        memset(y.data, 0, items * bytes)
        return SQ_OK
    for i in range(items):
        length = (<int32_t*>s.in_[1].data)[i]
        if length > n:
            return fail(s, "length %d at position %lld is more than the %lld elements there are", length, i, n)
        if length == 0 and c.kind == MEAN and c.dtype >= I32:
            return fail(s, "length 0 at position %lld: integers cannot be divided by it", i)
        at = <char*>x.data + i * bytes * (1 if c.front else n)
        to = <char*>y.data + i * bytes
        if c.dtype == F32:
            reduce_line(<float*>at, stride, length, c.kind, <float*>to)
        elif c.dtype == F64:
            reduce_line(<double*>at, stride, length, c.kind, <double*>to)
        elif c.dtype == I32:
            reduce_line(<int32_t*>at, stride, length, c.kind, <int32_t*>to)
        else:
            reduce_line(<int64_t*>at, stride, length, c.kind, <int64_t*>to)
    return SQ_OK


def lengths_step(str kind, str dtype, bint front) -> Step:
    """sum, mean or max of the first elements along the first or last axis: one length for each output."""
    cdef Step step = Step()
    cdef Lengths* c = <Lengths*>step.new_context(sizeof(Lengths))
    c.kind, c.dtype, c.front = KINDS[kind], TYPES[dtype], front
    step.c.run = run_lengths
    step.c.rows = 0
    step.kernel = f"lengths_{kind}_{dtype}"
    return step


# ---- places --------------------------------------------------------------------------------------------------------

cdef struct Arg:
    kernels.Kernel kernel
    int axis
    int64_t k


cdef void around(const sq_tensor* x, int axis, int64_t* outer, int64_t* inner) noexcept nogil:
    cdef int d
    outer[0], inner[0] = 1, 1
    for d in range(x.shape.ndim):
        if d < axis:
            outer[0] *= x.shape.dims[d]
        elif d > axis:
            inner[0] *= x.shape.dims[d]


cdef int run_arg(sq_step* s) noexcept nogil:
    cdef Arg* c = <Arg*>s.ctx
    cdef int64_t outer, inner
    around(s.in_[0], c.axis, &outer, &inner)
    reduce_axis(&c.kernel, s.in_[0].data, s.out[0].data, outer, s.in_[0].shape.dims[c.axis], inner)
    return SQ_OK


def arg_step(str kernel, int axis) -> Step:
    """Places of extremes along an axis."""
    cdef Step step = Step()
    cdef Arg* c = <Arg*>step.new_context(sizeof(Arg))
    kernels.find_kernel(&c.kernel, kernel)
    c.axis = axis
    step.c.run = run_arg
    step.c.rows = 1 if axis > 0 else 0
    step.kernel = kernel
    return step


cdef int run_top_k(sq_step* s) noexcept nogil:
    cdef Arg* c = <Arg*>s.ctx
    cdef int64_t outer, inner
    around(s.in_[0], c.axis, &outer, &inner)
    top_k(<float*>s.in_[0].data, <float*>s.out[0].data, <int64_t*>s.out[1].data,
          <int64_t*>s.out[2].data if s.n_out > 2 else NULL, outer, s.in_[0].shape.dims[c.axis], inner, c.k)
    return SQ_OK


def top_k_step(int axis, int64_t k, bint batched) -> Step:
    """The k largest along an axis. batched: a new batch changes the outputs' first dims alone."""
    cdef Step step = Step()
    cdef Arg* c = <Arg*>step.new_context(sizeof(Arg))
    c.axis, c.k = axis, k
    step.c.run = run_top_k
    step.c.rows = 1 if batched and axis > 0 else 0
    step.kernel = "top_k_f32"
    return step
