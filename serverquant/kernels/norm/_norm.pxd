"""Affine maps per channel, for normalisation with fixed statistics: see norm.h for the formulas. y may be x."""

# alpha and beta [channels] of a SpatialBN in test mode.
cdef void fold_norm(const float* scale, const float* bias, const float* mean, const float* var, float epsilon,
                    long long channels, float* alpha, float* beta) noexcept nogil

# x, y: (outer, channels, inner). inner = 1 is NHWC with outer = all pixels.
cdef void affine_channels(const float* x, float* y, const float* alpha, const float* beta, long long outer,
                          long long channels, long long inner) noexcept nogil
