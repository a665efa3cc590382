from libc.stdint cimport int32_t, int64_t

from serverquant.kernels._bounds cimport sq_bounds
from serverquant.kernels._window cimport sq_window
from serverquant.kernels.gemm_f32._gemm_f32 cimport PackedWeightF32, sq_gemm_f32_row, sq_packed_f32

cdef extern from "../kernels/conv_f32/conv_f32.h" nogil:
    enum:
        SQ_CONV_F32_PIXELS, SQ_CONV_F32_CHANNELS, SQ_CONV_F32_DEPTHWISE, SQ_CONV_F32_PLANES

    ctypedef struct sq_depthwise_f32_row:
        const char* name
        int32_t isa, lanes

    # `batch` may be changed between runs; everything else belongs to the plan.
    ctypedef struct sq_conv_f32:
        sq_window window
        int64_t batch, channels, out_channels, groups
        int32_t nhwc, form
        const sq_gemm_f32_row* row
        const sq_depthwise_f32_row* depthwise


cdef class ConvF32:
    cdef sq_conv_f32 raw
    cdef readonly object window
    cdef PackedWeightF32 _plain(self, flat)

# Bytes of scratch that conv_f32() needs, aligned to 64, for a team.
cdef int64_t conv_f32_scratch(const sq_conv_f32* conv, int64_t team) noexcept nogil

# Multiply-adds, what team_size() wants.
cdef int64_t conv_f32_work(const sq_conv_f32* conv) noexcept nogil

# y = conv(x) + bias (NULL: none), within the bounds (NULL: none). packed: made by the ConvF32's pack(). Not in place.
# x, and bias, are read up to 64 bytes past their ends. The bytes do not depend on `team`.
cdef void conv_f32(const sq_conv_f32* conv, const sq_packed_f32* packed, const float* x, const float* bias,
                   const sq_bounds* bounds, float* y, void* scratch, int team) noexcept nogil
