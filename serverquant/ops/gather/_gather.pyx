"""Native steps of the operators that pick slices at indices."""
from libc.stdint cimport int64_t

from serverquant.blobs._blob cimport SQ_OK, sq_shape, sq_step, sq_tensor
from serverquant.kernels.transpose._transpose cimport gather
from serverquant.ops._native cimport index_at, pass_qparams, product, set_size
from serverquant.runtime._plan cimport Step, fail


cdef struct Gather:
    int axis
    bint match_outer
    bint wrap

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
    pass_qparams(x, s.out[0])
    if s.out[0].shape.size == 0:
        return SQ_OK
    for i in range(blocks):
        bad = gather(<char*>x.data + i * dim * slice_bytes, <char*>s.out[0].data + i * count * slice_bytes,
                     <char*>at.data + i * count * at.shape.item_bytes, at.shape.item_bytes, count, rows, dim, slice_bytes,
                     c.wrap)
        if bad >= 0:
            return fail(s, "index %lld at position %lld is out of range for axis %d of %lld elements",
                        <long long>index_at(at, i * count + bad), <long long>(i * count + bad), c.axis, <long long>dim)
    return SQ_OK


cdef int reshape_gather(sq_step* s, const sq_shape* const* inputs, sq_shape* const* outputs) noexcept nogil:
    """Any shapes of data and indices; data without slices follow another rule."""
    cdef Gather* c = <Gather*>s.ctx
    cdef const sq_shape* x = inputs[0]
    cdef const sq_shape* at = inputs[1]
    cdef sq_shape* y = outputs[0]
    cdef int shared = c.axis if c.match_outer else 0
    cdef int i
    if x.dims[c.axis] == 0 or y.ndim != x.ndim - 1 + at.ndim - shared:
        return 1
    for i in range(c.axis):
        y.dims[i] = x.dims[i]
        if i < shared and at.dims[i] != x.dims[i]:
            return 1
    for i in range(shared, at.ndim):
        y.dims[c.axis + i - shared] = at.dims[i]
    for i in range(c.axis + 1, x.ndim):
        y.dims[i - 1 + at.ndim - shared] = x.dims[i]
    set_size(y)
    return SQ_OK


def permutation_step() -> Step:
    """As many slices along axis 0 as there are."""
    cdef Step step = gather_step(0, False, False)
    step.c.reshape = NULL
    step.c.rows = 3
    return step


def gather_step(int axis, bint match_outer, bint wrap) -> Step:
    """Slices of input 0 along `axis` at the indices in input 1."""
    cdef Step step = Step()
    cdef Gather* c = <Gather*>step.new_context(sizeof(Gather))
    c.axis, c.match_outer, c.wrap = axis, match_outer, wrap
    step.c.run = run_gather
    step.c.reshape = reshape_gather
    step.kernel = "gather"
    return step
