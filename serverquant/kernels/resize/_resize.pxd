"""Images in other sizes: see resize.h."""
from libc.stdint cimport int32_t, int64_t

cdef extern from "resize.h" nogil:
    ctypedef struct sq_side:
        const int32_t* first
        const int32_t* second
        const float* weight
        int64_t from_ "from"
        int64_t to

# y (planes, to[0], to[1], to[2]) = x (planes, from_[0], from_[1], from_[2]), elements of `elem_bytes`: the frames, rows
# and columns in map[0..2]; `fill`, a row of y, where an index is -1.
cdef void remap(const void* x, void* y, long long elem_bytes, long long planes, const int64_t* from_, const int64_t* to,
                const int32_t** map, const void* fill) noexcept nogil

# y (planes, rows.to, columns.to) = x (planes, rows.from_, columns.from_), interpolated.
cdef void bilinear_f32(const float* x, float* y, long long planes, const sq_side* rows,
                       const sq_side* columns) noexcept nogil
