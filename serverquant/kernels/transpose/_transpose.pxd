"""Moving elements and bytes: see transpose.h. x and y do not overlap. elem_bytes is 1, 2, 4 or 8."""
from libc.stdint cimport int64_t

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

# numpy's transpose: dim d of y is dim axes[d] of x. 0 <= ndim <= SQ_PERMUTE_DIMS; axes is a permutation.
cdef void permute(int elem_bytes, const void* x, void* y, int ndim, const int64_t* x_dims,
                  const int* axes) noexcept nogil

# y (outer, count, slice) = x (outer, dim, slice) at `indices` of 4 or 8 bytes. Returns -1, or the position of the first
# index that is not in 0..dim-1: then nothing was written.
cdef long long gather(const void* x, void* y, const void* indices, int index_bytes, long long count, long long outer,
                      long long dim, long long slice_bytes) noexcept nogil

# `rows` rows of each part: what Concat joins or Split takes apart.
cdef void copy_rows(const sq_rows* parts, int count, long long rows) noexcept nogil

# n bytes.
cdef void copy_bytes(const void* x, void* y, long long n) noexcept nogil
