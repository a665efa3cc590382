"""Several inputs, one output, element by element: see binary.h and maps.inc. y may be one of the inputs.

A kernel is found by name once (`add_f32`): its rows by instruction set.
"""
from libc.stdint cimport int64_t

from serverquant._base._threads cimport range_fn

cdef extern from "binary.h" nogil:
    enum:
        SQ_MAX_DIMS

    # A grid whose inputs and output `binary_grid` takes.
    ctypedef struct sq_binary_job:
        const void* a
        const void* b
        void* y
        int ndim
        int64_t* dims
        int64_t* a_strides
        int64_t* b_strides

    void sq_collapse(sq_binary_job* job)

cdef struct Kernel:
    range_fn[3] rows
    long long work      # of an element, in elementary operations

cdef int find_kernel(Kernel* found, str name) except -1

# The dims and strides of a grid, written as `binary_grid` is quickest with them: fewer of them. The first of several is
# dropped where it is 1; else it, or a product that it is part of, stays dims[0] and may change afterwards.
cdef void set_grid(sq_binary_job* grid, int ndim, const int64_t* dims, const int64_t* a_strides,
                   const int64_t* b_strides) noexcept nogil

# y = f(a, b) over a grid of n > 0 elements.
cdef void binary_grid(const Kernel* f, const sq_binary_job* grid, long long n) noexcept nogil

# y = f(a, b), equal shapes; n counts elements.
cdef void binary(const Kernel* f, const void* a, const void* b, void* y, long long n) noexcept nogil

# The same over a grid of 0 <= ndim <= SQ_MAX_DIMS dims (outermost first); strides in elements, 0 = repeated; y dense.
cdef void binary_strided(const Kernel* f, const void* a, const int64_t* a_strides, const void* b,
                         const int64_t* b_strides, void* y, int ndim, const int64_t* dims) noexcept nogil

# Old-style broadcast: a and y are (pre, mid, post), b is (mid,).
cdef void binary_middle(const Kernel* f, const void* a, const void* b, void* y, long long pre, long long mid,
                        long long post) noexcept nogil

# y = finish(f(f(x0, x1), x2) ...), count >= 1 inputs.
cdef void fold(const Kernel* f, const void* const* inputs, int count, void* y, long long n) noexcept nogil
