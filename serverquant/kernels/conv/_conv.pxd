from libc.stdint cimport int32_t, int64_t, uint8_t

from serverquant.kernels.dwconv._dwconv cimport sq_conv_geometry
from serverquant.kernels.gemm._gemm cimport PackedWeight, sq_epilogue, sq_packed


cdef class Geometry:
    cdef sq_conv_geometry raw       # its `batch` may be changed between runs
    cdef readonly tuple spatial     # output sizes


# Bytes that conv_u8 needs on up to `threads` threads, whatever the batch. 0 is possible.
cdef int64_t conv_scratch_bytes(const sq_conv_geometry* geometry, const sq_packed* packed, int threads) noexcept nogil

# y = epilogue(convolution of x), all channels last. scratch: conv_scratch_bytes(.., threads) bytes aligned to 64.
# Padding counts as x_zero_point. Always returns 0.
cdef int conv_u8(const sq_conv_geometry* geometry, const sq_packed* packed, const sq_epilogue* ep, int x_zero_point,
                 const uint8_t* x, void* y, uint8_t* scratch, int threads) noexcept nogil
