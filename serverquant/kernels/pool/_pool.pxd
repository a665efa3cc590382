from libc.stdint cimport int32_t, int64_t, uint8_t

from serverquant.kernels._window cimport sq_window

cdef extern from "../kernels/pool/pool.h" nogil:
    ctypedef struct sq_pool_row:
        const char* name
        int32_t isa, lanes, byte_lanes

    # `batch` may be changed between runs; everything else belongs to the plan.
    ctypedef struct sq_pool:
        sq_window window
        int64_t whole, batch, channels
        int32_t nhwc
        const sq_pool_row* row


cdef class Pool:
    cdef sq_pool raw
    cdef readonly object window

# Bytes of scratch that any pool of this plan needs, aligned to 64, for a team.
cdef int64_t pool_scratch(const sq_pool* pool, int64_t team) noexcept nogil

# Elements read, what team_size() wants.
cdef int64_t pool_work(const sq_pool* pool) noexcept nogil

# All: x is read up to 64 bytes past its end; not in place; the bytes do not depend on `team`. Formulas: pool.h.
cdef void max_pool_f32(const sq_pool* pool, const float* x, float* y, void* scratch, int team) noexcept nogil
# include_pad: divide by the whole kernel, padding too.
cdef void average_pool_f32(const sq_pool* pool, bint include_pad, const float* x, float* y, void* scratch,
                           int team) noexcept nogil
# low: the smallest value that comes out: 0, or the zero point with a relu.
cdef void max_pool_u8(const sq_pool* pool, int32_t low, const uint8_t* x, uint8_t* y, void* scratch,
                      int team) noexcept nogil
# The server's average; ratio = f32(x_scale / y_scale).
cdef void average_pool_u8(const sq_pool* pool, int32_t x_zero, float ratio, int32_t y_zero, int32_t low,
                          const uint8_t* x, uint8_t* y, void* scratch, int team) noexcept nogil
# The mobile average; multiplier and shift from mobile_factors().
cdef void average_pool_mobile_u8(const sq_pool* pool, int32_t x_zero, int32_t multiplier, int32_t shift,
                                 int32_t y_zero, int32_t low, const uint8_t* x, uint8_t* y, void* scratch,
                                 int team) noexcept nogil
