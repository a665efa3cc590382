from libc.stdint cimport int64_t, uint8_t

from serverquant.kernels.gemm._gemm cimport PackedWeight, sq_gemm_job, sq_packed

cdef extern from "../kernels/dwconv/dwconv.h" nogil:
    int64_t sq_dw_scratch(const sq_packed* w)

# A job whose source points at taps; packed->depthwise is set. `slots` blocks of sq_dw_scratch() bytes each, aligned to
# 64: at most so many threads. Always returns 0.
cdef int dwconv_job(const sq_gemm_job* job, uint8_t* scratch, int slots) noexcept nogil
