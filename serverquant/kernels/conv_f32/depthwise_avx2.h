SQ_TARGET_AVX2_BEGIN
/* Lanes first <= i < last. */
static inline __m256i sq_depthwise_f32_lanes(int64_t first, int64_t last) {
    static const int32_t window[16] = {-1, -1, -1, -1, -1, -1, -1, -1};
    return _mm256_andnot_si256(_mm256_loadu_si256((const __m256i*)(window + 8 - first)),
                               _mm256_loadu_si256((const __m256i*)(window + 8 - last)));
}
static inline __m256 sq_depthwise_f32_even(__m256 a, __m256 b) {
    const __m256 pairs = _mm256_shuffle_ps(a, b, 0x88); /* two of a, two of b, two of a, two of b */
    return _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(pairs), 0xD8));
}
#define SQ_V __m256
#define SQ_LANES 8
#define SQ_ZERO() _mm256_setzero_ps()
#define SQ_LOAD(p) _mm256_loadu_ps(p)
#define SQ_STORE(p, v) _mm256_storeu_ps(p, v)
#define SQ_STORE_PART(p, v, count) _mm256_maskstore_ps(p, sq_depthwise_f32_lanes(0, count), v)
#define SQ_SPREAD(p) _mm256_broadcast_ss(p)
#define SQ_FMA(a, b, c) _mm256_fmadd_ps(a, b, c)
#define SQ_ADD(a, b) _mm256_add_ps(a, b)
#define SQ_CLIP(v, lo, hi) _mm256_min_ps(hi, _mm256_max_ps(lo, v))
#define SQ_MASK __m256i
#define SQ_MASK_OF(first, last) sq_depthwise_f32_lanes(first, last)
#define SQ_LOAD_MASKED(p, mask) _mm256_maskload_ps(p, mask)
#define SQ_EVEN(a, b) sq_depthwise_f32_even(a, b)
#define SQ_NAME(suffix) sq_depthwise_f32_avx2##suffix
#include "depthwise_generic.h"
SQ_TARGET_END
