"""Moving elements and bytes: see transpose.h. x and y do not overlap. elem_bytes is 1, 2, 4 or 8."""
from libc.stdint cimport int64_t, uint8_t

cdef extern from "transpose.h" nogil:
    enum:
        SQ_PERMUTE_DIMS

    # Rows of `row_bytes` from x at one pitch to y at another, all in bytes.
    ctypedef struct sq_rows:
        const void* x
        void* y
        long long x_pitch
        long long y_pitch
        long long row_bytes

# y (batch, cols, rows) = x (batch, rows, cols). NCHW -> NHWC: rows = C, cols = H*W; back: rows = H*W, cols = C.
cdef void transpose_2d(int elem_bytes, const void* x, void* y, long long batch, long long rows,
                       long long cols) noexcept nogil

# The same of a few bytes, on the calling thread. rows, cols > 0.
cdef void transpose_here(const uint8_t* x, uint8_t* y, long long rows, long long cols) noexcept nogil

# numpy's transpose: dim d of y is dim axes[d] of x. 0 <= ndim <= SQ_PERMUTE_DIMS; axes is a permutation.
cdef void permute(int elem_bytes, const void* x, void* y, int ndim, const int64_t* x_dims,
                  const int* axes) noexcept nogil

# y = x repeated along each dim until it is full: dim d of y is a multiple of dim d of x. False, and nothing is written,
# if that takes more than SQ_PERMUTE_DIMS dims.
cdef bint repeat(int elem_bytes, const void* x, void* y, int ndim, const int64_t* x_dims,
                 const int64_t* y_dims) noexcept nogil

# y (outer, count, slice) = x (outer, dim, slice) at `indices` of 4 or 8 bytes; with `wrap`, -dim..-1 count from the end.
# Returns -1, or the position of the first index that is out of range: then nothing was written.
cdef long long gather(const void* x, void* y, const void* indices, int index_bytes, long long count, long long outer,
                      long long dim, long long slice_bytes, bint wrap) noexcept nogil

# `rows` rows of each part: what Concat joins or Split takes apart.
cdef void copy_rows(const sq_rows* parts, int count, long long rows) noexcept nogil

# n bytes.
cdef void copy_bytes(const void* x, void* y, long long n) noexcept nogil
