/* 24 accumulators, 4 vectors of B, one value of A spread over a vector: 29 of the 32 registers. */
SQ_TARGET_AVX512VNNI_BEGIN
#define SQ_V __m512
#define SQ_LANES 16
#define SQ_ZERO() _mm512_setzero_ps()
#define SQ_LOAD(p) _mm512_loadu_ps(p)
#define SQ_STORE(p, v) _mm512_storeu_ps(p, v)
#define SQ_STREAM(p, v) _mm512_stream_ps(p, v)
#define SQ_LOAD_PART(p, count) _mm512_maskz_loadu_ps((__mmask16)((1u << (count)) - 1), p)
#define SQ_STORE_PART(p, v, count) _mm512_mask_storeu_ps(p, (__mmask16)((1u << (count)) - 1), v)
#define SQ_SPREAD(p) _mm512_set1_ps(*(p))
#define SQ_FMA(a, b, c) _mm512_fmadd_ps(a, b, c)
#define SQ_ADD(a, b) _mm512_add_ps(a, b)
#define SQ_CLIP(v, lo, hi) _mm512_min_ps(hi, _mm512_max_ps(lo, v))
#define SQ_MR 6
#define SQ_NV 4
#define SQ_NAME(suffix) sq_gemm_f32_6x64_avx512vnni##suffix
#include "generic.h"
SQ_TARGET_END
