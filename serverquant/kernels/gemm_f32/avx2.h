/* 12 accumulators, 2 vectors of B, one value of A spread over a vector: 15 of the 16 registers. */
SQ_TARGET_AVX2_BEGIN
/* The first `count` of 8 lanes. */
static inline __m256i sq_gemm_f32_lanes(int count) {
    static const int32_t window[16] = {-1, -1, -1, -1, -1, -1, -1, -1};
    return _mm256_loadu_si256((const __m256i*)(window + 8 - count));
}
#define SQ_V __m256
#define SQ_LANES 8
#define SQ_ZERO() _mm256_setzero_ps()
#define SQ_LOAD(p) _mm256_loadu_ps(p)
#define SQ_STORE(p, v) _mm256_storeu_ps(p, v)
#define SQ_STREAM(p, v) _mm256_stream_ps(p, v)
#define SQ_LOAD_PART(p, count) _mm256_maskload_ps(p, sq_gemm_f32_lanes(count))
#define SQ_STORE_PART(p, v, count) _mm256_maskstore_ps(p, sq_gemm_f32_lanes(count), v)
#define SQ_SPREAD(p) _mm256_broadcast_ss(p)
#define SQ_FMA(a, b, c) _mm256_fmadd_ps(a, b, c)
#define SQ_ADD(a, b) _mm256_add_ps(a, b)
#define SQ_CLIP(v, lo, hi) _mm256_min_ps(hi, _mm256_max_ps(lo, v))
#define SQ_MR 6
#define SQ_NV 2
#define SQ_NAME(suffix) sq_gemm_f32_6x16_avx2##suffix
#include "generic.h"
#include "narrow.h"
SQ_TARGET_END
