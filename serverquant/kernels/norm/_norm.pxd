"""Normalisation of floats: see norm.h for the formulas."""
from serverquant.kernels._bounds cimport sq_bounds

# alpha and beta [channels] of a SpatialBN in test mode.
cdef void fold_norm(const float* scale, const float* bias, const float* mean, const float* var, float epsilon,
                    long long channels, float* alpha, float* beta) noexcept nogil

# x, y: (outer, channels, inner). inner = 1 is NHWC with outer = all pixels. y may be x. bounds: of y, or NULL.
cdef void affine_channels(const float* x, float* y, const float* alpha, const float* beta, long long outer,
                          long long channels, long long inner, const sq_bounds* bounds=?) noexcept nogil

# sums [rows] of rows of `inner` floats, or of the squares of their distances from centre [i % centres], unless NULL.
cdef void row_sums(const float* x, const float* centre, long long centres, double* sums, long long rows,
                   long long inner) noexcept nogil

# The same for the columns of x (outer, inner, channels): sums and centre are (outer, channels).
cdef void column_sums(const float* x, const float* centre, double* sums, long long outer, long long inner,
                      long long channels) noexcept nogil

# Layer norm of rows, or, without a mean, a norm by the root of the mean square. gamma and beta: [inner], or both NULL.
cdef void row_norm(const float* x, float* y, const float* gamma, const float* beta, float* mean, float* sigma,
                   long long rows, long long inner, float epsilon) noexcept nogil

# Local response over `size` channels; x (outer, channels, inner), or (outer, inner, channels) if nhwc. scale: NULL, or
# of x's shape. y may not be x.
cdef void local_response(const float* x, float* y, float* scale, long long outer, long long channels, long long inner,
                         long long size, float alpha, float beta, float bias, bint nhwc) noexcept nogil
