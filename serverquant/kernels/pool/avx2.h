SQ_TARGET_AVX2_BEGIN
/* The first `count` of 8 lanes. */
static inline __m256i sq_pool_lanes(int64_t count) {
    static const int32_t window[16] = {-1, -1, -1, -1, -1, -1, -1, -1};
    return _mm256_loadu_si256((const __m256i*)(window + (count >= 8 ? 0 : 8 - count)));
}

static inline void sq_pool_store_bytes(uint8_t* p, __m256i v, int64_t count) {
    if (count >= 32) {
        _mm256_storeu_si256((__m256i*)p, v);
    } else {
        uint8_t all[32];
        _mm256_storeu_si256((__m256i*)all, v);
        memcpy(p, all, (size_t)count);
    }
}

static inline void sq_pool_store_rounded(uint8_t* p, __m256 v, int64_t count) {
    __m256i i = _mm256_cvtps_epi32(v);
    __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(i), _mm256_extracti128_si256(i, 1));
    uint8_t all[16];
    _mm_storeu_si128((__m128i*)all, _mm_packus_epi16(words, words));
    if (count >= 8)
        memcpy(p, all, 8);
    else
        memcpy(p, all, (size_t)count);
}
#define SQ_V __m256
#define SQ_LANES 8
#define SQ_SPREAD(x) _mm256_set1_ps(x)
#define SQ_LOAD(p) _mm256_loadu_ps(p)
#define SQ_STORE(p, v, count) _mm256_maskstore_ps(p, sq_pool_lanes(count), v)
#define SQ_MAX(x, acc) _mm256_max_ps(x, acc)
#define SQ_ADD(a, b) _mm256_add_ps(a, b)
#define SQ_MUL(a, b) _mm256_mul_ps(a, b)
#define SQ_FMA(a, b, c) _mm256_fmadd_ps(a, b, c)
#define SQ_CLAMP(v, low) _mm256_min_ps(_mm256_max_ps(v, _mm256_set1_ps(low)), _mm256_set1_ps(255.0f))
#define SQ_I __m256i
#define SQ_I_ZERO() _mm256_setzero_si256()
#define SQ_I_LOAD(p) _mm256_loadu_si256((const __m256i*)(p))
#define SQ_I_SPREAD(x) _mm256_set1_epi32(x)
#define SQ_I_STORE(p, v, count) _mm256_maskstore_epi32(p, sq_pool_lanes(count), v)
#define SQ_I_ADD(a, b) _mm256_add_epi32(a, b)
#define SQ_I_SUB(a, b) _mm256_sub_epi32(a, b)
#define SQ_I_BYTES(p) _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i*)(p)))
#define SQ_TO_FLOAT(i) _mm256_cvtepi32_ps(i)
#define SQ_STORE_ROUNDED(p, v, count) sq_pool_store_rounded(p, v, count)
#define SQ_B __m256i
#define SQ_B_LANES 32
#define SQ_B_SPREAD(x) _mm256_set1_epi8((char)(x))
#define SQ_B_LOAD(p) _mm256_loadu_si256((const __m256i*)(p))
#define SQ_B_STORE(p, v, count) sq_pool_store_bytes(p, v, count)
#define SQ_B_MAX(a, b) _mm256_max_epu8(a, b)
#define SQ_NAME(suffix) sq_pool_avx2##suffix
#include "generic.h"
SQ_TARGET_END
