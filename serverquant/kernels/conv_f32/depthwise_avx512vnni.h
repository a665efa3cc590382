SQ_TARGET_AVX512VNNI_BEGIN
#define SQ_V __m512
#define SQ_LANES 16
#define SQ_ZERO() _mm512_setzero_ps()
#define SQ_LOAD(p) _mm512_loadu_ps(p)
#define SQ_STORE(p, v) _mm512_storeu_ps(p, v)
#define SQ_STORE_PART(p, v, count) _mm512_mask_storeu_ps(p, (__mmask16)((1u << (count)) - 1), v)
#define SQ_SPREAD(p) _mm512_set1_ps(*(p))
#define SQ_FMA(a, b, c) _mm512_fmadd_ps(a, b, c)
#define SQ_ADD(a, b) _mm512_add_ps(a, b)
#define SQ_CLIP(v, lo, hi) _mm512_min_ps(hi, _mm512_max_ps(lo, v))
#define SQ_MASK __mmask16
#define SQ_MASK_OF(first, last) ((__mmask16)(((1u << (last)) - 1) & ~((1u << (first)) - 1)))
#define SQ_LOAD_MASKED(p, mask) _mm512_maskz_loadu_ps(mask, p)
#define SQ_EVEN(a, b) \
    _mm512_permutex2var_ps(a, _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30), b)
#define SQ_NAME(suffix) sq_depthwise_f32_avx512vnni##suffix
#include "depthwise_generic.h"
SQ_TARGET_END
