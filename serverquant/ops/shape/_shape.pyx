"""Native steps of the operators that move elements."""
from libc.stdint cimport int32_t, int64_t
from libc.string cimport memcpy

from serverquant.blobs._blob cimport SQ_INT8, SQ_OK, sq_shape, sq_step, sq_tensor
from serverquant.kernels.transpose._transpose cimport copy_rows, gather, permute, sq_rows
from serverquant.runtime._plan cimport Step, fail


cdef inline void pass_qparams(sq_tensor* x, sq_tensor* y) noexcept nogil:
    if x.shape.kind == SQ_INT8:
        y.scale, y.zero_point = x.scale, x.zero_point


# ---- Reshape -------------------------------------------------------------------------------------------------------

cdef struct Reshape:
    int ndim
    bint narrow             # output 1 is int32, as the second input was
    int64_t dims[16]        # the input's: in place the blob has the new shape by now

cdef int run_reshape(sq_step* s) noexcept nogil:
    cdef Reshape* c = <Reshape*>s.ctx
    cdef sq_tensor* x = s.in_[0]
    cdef int64_t dim
    cdef int i
    if s.out[0].data != x.data:
        memcpy(s.out[0].data, x.data, x.shape.size * x.shape.item_bytes)
        pass_qparams(x, s.out[0])
    for i in range(c.ndim):
        dim = s.out[0].shape.dims[0] if s.rows and i == 0 else c.dims[i]
        if c.narrow:
            (<int32_t*>s.out[1].data)[i] = <int32_t>dim
        else:
            (<int64_t*>s.out[1].data)[i] = dim
    return SQ_OK


cdef int rebatch_reshape(sq_step* s, const sq_shape* const* inputs, sq_shape* const* outputs) noexcept nogil:
    """A new batch in output 0; output 1 keeps its length."""
    cdef int64_t others = 1
    cdef int i
    if not s.rows:
        return 1
    outputs[0].dims[0] = inputs[0].dims[0]
    outputs[0].size = inputs[0].size
    for i in range(outputs[0].ndim):
        others *= outputs[0].dims[i]
    return SQ_OK if others == inputs[0].size else 1


def reshape_step(rows, dims, bint narrow) -> Step:
    """The same elements; output 1 gets the input's dims. With `rows` the first dim may change from run to run."""
    cdef Step step = Step()
    cdef Reshape* c = <Reshape*>step.new_context(sizeof(Reshape))
    cdef int i
    c.ndim, c.narrow = len(dims), narrow
    for i in range(c.ndim):
        c.dims[i] = dims[i]
    step.c.run = run_reshape
    step.c.reshape = rebatch_reshape
    step.c.rows = rows
    step.kernel = "copy"
    return step


# ---- Transpose -----------------------------------------------------------------------------------------------------

cdef struct Transpose:
    int axes[16]

cdef int run_transpose(sq_step* s) noexcept nogil:
    cdef sq_tensor* x = s.in_[0]
    permute(x.shape.item_bytes, x.data, s.out[0].data, x.shape.ndim, x.shape.dims, (<Transpose*>s.ctx).axes)
    pass_qparams(x, s.out[0])
    return SQ_OK


def transpose_step(axes) -> Step:
    """Output axis i is input axis axes[i]."""
    cdef Step step = Step()
    cdef Transpose* c = <Transpose*>step.new_context(sizeof(Transpose))
    for i, axis in enumerate(axes):
        c.axes[i] = axis
    step.c.run = run_transpose
    step.c.rows = len(axes) > 0 and axes[0] == 0
    step.kernel = "permute"
    return step


# ---- Concat --------------------------------------------------------------------------------------------------------

# Inputs that are joined at once.
cdef enum:
    PARTS = 32

cdef struct Concat:
    int axis
    bint add_axis

cdef int run_concat(sq_step* s) noexcept nogil:
    cdef Concat* c = <Concat*>s.ctx
    cdef sq_tensor* y = s.out[0]
    cdef char* at = <char*>y.data
    cdef int64_t outer = 1, inner = y.shape.item_bytes, part
    cdef sq_rows[PARTS] parts
    cdef int i, count = 0
    for i in range(c.axis):
        outer *= y.shape.dims[i]
    for i in range(c.axis + 1, y.shape.ndim):
        inner *= y.shape.dims[i]
    for i in range(s.n_in):
        part = 1 if c.add_axis else s.in_[i].shape.dims[c.axis]
        parts[count].x, parts[count].y = s.in_[i].data, at
        parts[count].x_pitch = parts[count].row_bytes = part * inner
        parts[count].y_pitch = y.shape.dims[c.axis] * inner
        at += part * inner
        count += 1
        if count == PARTS or i == s.n_in - 1:
            copy_rows(parts, count, outer)
            count = 0
        if s.n_out > 1:
            (<int32_t*>s.out[1].data)[i] = <int32_t>part
    return SQ_OK


cdef int reshape_concat(sq_step* s, const sq_shape* const* inputs, sq_shape* const* outputs) noexcept nogil:
    """New leading dims: joined when they are the axis, else the same for all."""
    cdef Concat* c = <Concat*>s.ctx
    cdef int64_t rows = 0
    cdef int i
    if c.add_axis or inputs[0].ndim == 0:
        return 1
    for i in range(s.n_in):
        if c.axis == 0:
            rows += inputs[i].dims[0]
        elif inputs[i].dims[0] != inputs[0].dims[0]:
            return 1
    outputs[0].dims[0] = rows if c.axis == 0 else inputs[0].dims[0]
    outputs[0].size = 1
    for i in range(outputs[0].ndim):
        outputs[0].size *= outputs[0].dims[i]
    return SQ_OK


def concat_step(int axis, bint add_axis) -> Step:
    """Joins the inputs along `axis`; output 1, if there, gets their sizes."""
    cdef Step step = Step()
    cdef Concat* c = <Concat*>step.new_context(sizeof(Concat))
    c.axis, c.add_axis = axis, add_axis
    step.c.run = run_concat
    step.c.reshape = reshape_concat
    step.kernel = "copy_rows"
    return step


# ---- Gather --------------------------------------------------------------------------------------------------------

cdef struct Gather:
    int axis
    bint match_outer

cdef int64_t product(const int64_t* dims, int begin, int end) noexcept nogil:
    cdef int64_t p = 1
    cdef int i
    for i in range(begin, end):
        p *= dims[i]
    return p

cdef int run_gather(sq_step* s) noexcept nogil:
    cdef Gather* c = <Gather*>s.ctx
    cdef sq_tensor* x = s.in_[0]
    cdef sq_tensor* at = s.in_[1]
    cdef int64_t outer = product(x.shape.dims, 0, c.axis)
    cdef int64_t dim = x.shape.dims[c.axis]
    cdef int64_t slice_bytes = product(x.shape.dims, c.axis + 1, x.shape.ndim) * x.shape.item_bytes
    cdef int64_t blocks = outer if c.match_outer else 1
    cdef int64_t count = at.shape.size // blocks if blocks else 0
    cdef int64_t rows = 1 if c.match_outer else outer
    cdef int64_t i, bad
    for i in range(blocks):
        bad = gather(<char*>x.data + i * dim * slice_bytes, <char*>s.out[0].data + i * count * slice_bytes,
                     <char*>at.data + i * count * at.shape.item_bytes, at.shape.item_bytes, count, rows, dim, slice_bytes)
        if bad >= 0:
            return fail(s, "index %lld at position %lld is out of range for axis %d of %lld elements",
                        <long long>index_at(at, i * count + bad), <long long>(i * count + bad), c.axis, <long long>dim)
    pass_qparams(x, s.out[0])
    return SQ_OK


cdef int64_t index_at(sq_tensor* t, int64_t i) noexcept nogil:
    return (<int32_t*>t.data)[i] if t.shape.item_bytes == 4 else (<int64_t*>t.data)[i]


def gather_step(int axis, bint match_outer) -> Step:
    """Slices of input 0 along `axis` at the indices in input 1."""
    cdef Step step = Step()
    cdef Gather* c = <Gather*>step.new_context(sizeof(Gather))
    c.axis, c.match_outer = axis, match_outer
    step.c.run = run_gather
    # With the axis in front, the number of indices is the batch; the table keeps its size.
    step.c.rows = 2 if axis == 0 else 3 if match_outer else 1
    step.kernel = "gather"
    return step
