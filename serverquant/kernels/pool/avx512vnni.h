SQ_TARGET_AVX512VNNI_BEGIN
static inline __mmask16 sq_pool_mask16(int64_t count) { return (__mmask16)(count >= 16 ? 0xFFFFu : (1u << count) - 1); }
static inline __mmask64 sq_pool_mask64(int64_t count) { return count >= 64 ? ~0ull : (1ull << count) - 1; }
#define SQ_V __m512
#define SQ_LANES 16
#define SQ_SPREAD(x) _mm512_set1_ps(x)
#define SQ_LOAD(p) _mm512_loadu_ps(p)
#define SQ_STORE(p, v, count) _mm512_mask_storeu_ps(p, sq_pool_mask16(count), v)
#define SQ_MAX(x, acc) _mm512_max_ps(x, acc)
#define SQ_ADD(a, b) _mm512_add_ps(a, b)
#define SQ_MUL(a, b) _mm512_mul_ps(a, b)
#define SQ_FMA(a, b, c) _mm512_fmadd_ps(a, b, c)
#define SQ_CLAMP(v, low) _mm512_min_ps(_mm512_max_ps(v, _mm512_set1_ps(low)), _mm512_set1_ps(255.0f))
#define SQ_I __m512i
#define SQ_I_ZERO() _mm512_setzero_si512()
#define SQ_I_LOAD(p) _mm512_loadu_si512(p)
#define SQ_I_SPREAD(x) _mm512_set1_epi32(x)
#define SQ_I_STORE(p, v, count) _mm512_mask_storeu_epi32(p, sq_pool_mask16(count), v)
#define SQ_I_ADD(a, b) _mm512_add_epi32(a, b)
#define SQ_I_SUB(a, b) _mm512_sub_epi32(a, b)
#define SQ_I_BYTES(p) _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i*)(p)))
#define SQ_TO_FLOAT(i) _mm512_cvtepi32_ps(i)
#define SQ_STORE_ROUNDED(p, v, count) _mm512_mask_cvtepi32_storeu_epi8(p, sq_pool_mask16(count), _mm512_cvtps_epi32(v))
#define SQ_B __m512i
#define SQ_B_LANES 64
#define SQ_B_SPREAD(x) _mm512_set1_epi8((char)(x))
#define SQ_B_LOAD(p) _mm512_loadu_si512(p)
#define SQ_B_STORE(p, v, count) _mm512_mask_storeu_epi8(p, sq_pool_mask64(count), v)
#define SQ_B_MAX(a, b) _mm512_max_epu8(a, b)
#define SQ_NAME(suffix) sq_pool_avx512vnni##suffix
#include "generic.h"
SQ_TARGET_END
