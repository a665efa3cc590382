"""The native step of OneHot."""
from libc.stdint cimport int64_t
from libc.string cimport memset

from serverquant.blobs._blob cimport SQ_OK, sq_step
from serverquant.runtime._plan cimport Step, fail


cdef int run_one_hot(sq_step* s) noexcept nogil:
    cdef const int64_t* indices = <const int64_t*>s.in_[0].data
    cdef int64_t rows = s.out[0].shape.dims[0], size = s.out[0].shape.dims[1]
    cdef float* y = <float*>s.out[0].data
    cdef int64_t i
    for i in range(rows):
        if indices[i] < 0 or indices[i] >= size:
            return fail(s, "index %lld at position %lld is out of range; the index has %lld elements",
                        <long long>indices[i], <long long>i, <long long>size)
    memset(y, 0, rows * size * sizeof(float))
    for i in range(rows):
        y[i * size + indices[i]] = 1
    return SQ_OK


def one_hot_step() -> Step:
    """A row of the output for each index in input 0."""
    cdef Step step = Step()
    step.c.run = run_one_hot
    step.c.rows = 1
    step.kernel = "one_hot"
    return step
