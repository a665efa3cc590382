from libc.stdint cimport int32_t, int64_t, uint8_t

from serverquant.kernels.gemm._gemm cimport PackedWeight, sq_epilogue, sq_gemm_job, sq_packed

cdef extern from "../kernels/conv/conv.h" nogil:
    ctypedef struct sq_conv_geometry:
        int64_t batch
        int32_t[3] in_ "in"
        int32_t[3] out
        int32_t[3] kernel
        int32_t[3] stride
        int32_t[3] dilation
        int32_t[3] pad
        int32_t groups, in_channels, out_channels

cdef extern from "../kernels/dwconv/dwconv.h" nogil:
    int64_t sq_dw_scratch(const sq_packed* w)

    ctypedef struct sq_dw_flat_job:
        const sq_conv_geometry* geometry
        const sq_packed* packed
        const sq_epilogue* ep
        int32_t x_zero_point
        const uint8_t* x
        void* y
        uint8_t* scratch
        int64_t team


# A job whose source points at taps; packed->depthwise is set. `slots` blocks of sq_dw_scratch() bytes each, aligned to
# 64: at most so many threads. Always returns 0.
cdef int dwconv_job(const sq_gemm_job* job, uint8_t* scratch, int slots) noexcept nogil

# Images of few channels, where flat_scratch() is not 0. job.scratch: `slots` blocks of so many bytes, aligned to 64.
# Sets job.team. Always returns 0.
cdef int dwconv_flat(sq_dw_flat_job* job, int slots) noexcept nogil

# Bytes of a block; 0 where dwconv_job is to be taken.
cdef int64_t flat_scratch(const sq_conv_geometry* geometry, const sq_packed* packed) noexcept nogil
