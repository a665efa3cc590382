"""Operators that keep their input's scale and zero point, and check those that the arguments name."""
from serverquant.blobs._blob cimport sq_shape, sq_step, sq_tensor
from serverquant.runtime._plan cimport Step, fail


cdef struct Kept:
    int (*run)(sq_step*) noexcept nogil
    int (*reshape)(sq_step*, const sq_shape* const*, sq_shape* const*) noexcept nogil
    void* ctx
    bint check_scale, check_zero_point
    float scale
    int zero_point


cdef int run_kept(sq_step* s) noexcept nogil:
    cdef Kept* c = <Kept*>s.ctx
    cdef const sq_tensor* x = s.in_[0]
    cdef int status
    if c.check_scale and c.scale != x.scale:
        return fail(s, "Y_scale is %g, but the input's scale is %g; they must be equal", c.scale, x.scale)
    if c.check_zero_point and c.zero_point != x.zero_point:
        return fail(s, "Y_zero_point is %d, but the input's is %d; they must be equal", c.zero_point, x.zero_point)
    s.ctx = c.ctx
    status = c.run(s)
    s.ctx = c
    return status


cdef int reshape_kept(sq_step* s, const sq_shape* const* inputs, sq_shape* const* outputs) noexcept nogil:
    cdef Kept* c = <Kept*>s.ctx
    cdef int status
    s.ctx = c.ctx
    status = c.reshape(s, inputs, outputs)
    s.ctx = c
    return status


def kept_step(Step inner, scale=None, zero_point=None) -> Step:
    """`inner`, a native step, which runs if input 0 has this scale and zero point, each if given."""
    cdef Step step = Step()
    cdef Kept* c = <Kept*>step.new_context(sizeof(Kept))
    c.run, c.reshape, c.ctx = inner.c.run, inner.c.reshape, inner.c.ctx
    c.check_scale, c.check_zero_point = scale is not None, zero_point is not None
    c.scale, c.zero_point = scale or 0, zero_point or 0
    step.c.run, step.c.rows = run_kept, inner.c.rows
    if inner.c.reshape != NULL:
        step.c.reshape = reshape_kept
    step.kernel, step.facts, step.keep = inner.kernel, inner.facts, inner
    return step
