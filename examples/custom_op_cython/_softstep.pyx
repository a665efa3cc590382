"""The native half of operator SoftStep."""
from libc.stdint cimport int64_t

from serverquant.native cimport SQ_OK, fail, native_step, sq_step


cdef struct Job:
    float width


cdef int run(sq_step* s) noexcept nogil:
    cdef Job* job = <Job*>s.ctx
    cdef const float* x = <const float*>s.in_[0].data
    cdef float* y = <float*>s.out[0].data
    cdef int64_t i
    for i in range(s.in_[0].shape.size):
        if x[i] != x[i]:
            return fail(s, "element %lld is no number", <long long>i)
        y[i] = min(max(x[i] / job.width + 0.5, 0.0), 1.0)
    return SQ_OK


def softstep_step(float width):
    """The step of one plan."""
    cdef Job* job = NULL
    step = native_step(run, sizeof(Job), <void**>&job, 1, "softstep")
    job.width = width
    return step
