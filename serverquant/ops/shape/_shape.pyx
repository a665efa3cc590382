"""Native steps of the operators that give elements another shape or order."""
from libc.stdint cimport int32_t, int64_t

from serverquant.blobs._blob cimport SQ_OK, sq_shape, sq_step, sq_tensor
from serverquant.kernels.transpose._transpose cimport copy_bytes, permute
from serverquant.ops._native cimport pass_qparams
from serverquant.runtime._plan cimport Step


# ---- the same elements in another shape ----------------------------------------------------------------------------

cdef struct Regroup:
    int place               # the output's dim that a new first dim of the input changes; -1: none may
    int ndim                # of the input
    bint narrow             # output 1 is int32, as the second input was
    int64_t dims[16]        # the input's: in place the blob has the new shape by now

cdef int run_regroup(sq_step* s) noexcept nogil:
    cdef sq_tensor* x = s.in_[0]
    if s.out[0].data != x.data:
        copy_bytes(x.data, s.out[0].data, x.shape.size * x.shape.item_bytes)
        pass_qparams(x, s.out[0])
    return SQ_OK


cdef int run_reshape(sq_step* s) noexcept nogil:
    cdef Regroup* c = <Regroup*>s.ctx
    cdef int64_t dim, others = 1
    cdef int i
    run_regroup(s)
    if s.n_out < 2:
        return SQ_OK
    for i in range(1, c.ndim):
        others *= c.dims[i]
    for i in range(c.ndim):
        dim = s.out[0].shape.size // others if i == 0 and others else c.dims[i]
        if c.narrow:
            (<int32_t*>s.out[1].data)[i] = <int32_t>dim
        else:
            (<int64_t*>s.out[1].data)[i] = dim
    return SQ_OK


cdef int rebatch_regroup(sq_step* s, const sq_shape* const* inputs, sq_shape* const* outputs) noexcept nogil:
    """Output dim `place` takes what the others leave. Without elements other rules hold: that is planned anew."""
    cdef Regroup* c = <Regroup*>s.ctx
    cdef int64_t others = 1
    cdef int i
    if c.place < 0 or inputs[0].size == 0:
        return 1
    for i in range(outputs[0].ndim):
        if i != c.place:
            others *= outputs[0].dims[i]
    if others == 0 or inputs[0].size % others:
        return 1
    outputs[0].dims[c.place] = inputs[0].size // others
    outputs[0].size = inputs[0].size
    return SQ_OK


def regroup_step(int place) -> Step:
    """The same elements; a new first dim of the input changes dim `place` of the output (-1: must not change)."""
    cdef Step step = Step()
    cdef Regroup* c = <Regroup*>step.new_context(sizeof(Regroup))
    c.place = place
    step.c.run = run_regroup
    step.c.reshape = rebatch_regroup
    step.kernel = "copy"
    return step


def reshape_step(int place, dims, bint narrow) -> Step:
    """The same; output 1 gets the input's dims."""
    cdef Step step = regroup_step(place)
    cdef Regroup* c = <Regroup*>step.c.ctx
    cdef int i
    c.ndim, c.narrow = len(dims), narrow
    for i in range(c.ndim):
        c.dims[i] = dims[i]
    step.c.run = run_reshape
    return step


cdef int reshape_like(sq_step* s, const sq_shape* const* inputs, sq_shape* const* outputs) noexcept nogil:
    """The second input's dims."""
    cdef int i
    if inputs[0].size != inputs[1].size:
        return 1
    outputs[0].ndim, outputs[0].size = inputs[1].ndim, inputs[1].size
    for i in range(inputs[1].ndim):
        outputs[0].dims[i] = inputs[1].dims[i]
    return SQ_OK


def like_step() -> Step:
    """Input 0's elements in input 1's shape."""
    cdef Step step = regroup_step(-1)
    step.c.reshape = reshape_like
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
