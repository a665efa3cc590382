/* sq_q31() of epilogue.h on vectors: the mobile requantization before its zero point. */
#ifndef SERVERQUANT_GEMM_Q31_H
#define SERVERQUANT_GEMM_Q31_H

#include "gemm.h"
#include "serverquant/simd.h"

SQ_TARGET_AVX2_BEGIN

SQ_INLINE __m256i v256_q31(__m256i acc, const sq_epilogue* ep) {
    const __m256i multiplier = _mm256_set1_epi32(ep->q31_multiplier), half = _mm256_set1_epi64x(1 << 30);
    const __m256i mask = _mm256_set1_epi32((int32_t)((1u << ep->q31_shift) - 1u));
    const __m256i even = _mm256_add_epi64(_mm256_mul_epi32(acc, multiplier), half);
    const __m256i odd = _mm256_add_epi64(_mm256_mul_epi32(_mm256_srli_epi64(acc, 32), multiplier), half);
    /* The quotients by 2^31 fit 32 bits: the even ones in the low halves, the odd ones in the high halves. */
    const __m256i p = _mm256_blend_epi32(_mm256_srli_epi64(even, 31), _mm256_slli_epi64(odd, 1), 0xAA);
    const __m256i remainder = _mm256_add_epi32(_mm256_and_si256(p, mask), _mm256_srai_epi32(acc, 31));
    return _mm256_sub_epi32(_mm256_sra_epi32(p, _mm_cvtsi32_si128(ep->q31_shift)),
                            _mm256_cmpgt_epi32(remainder, _mm256_srli_epi32(mask, 1)));
}

SQ_TARGET_END

SQ_TARGET_AVX512VNNI_BEGIN

SQ_INLINE __m512i v512_q31(__m512i acc, const sq_epilogue* ep) {
    const __m512i multiplier = _mm512_set1_epi32(ep->q31_multiplier), half = _mm512_set1_epi64(1 << 30);
    const __m512i mask = _mm512_set1_epi32((int32_t)((1u << ep->q31_shift) - 1u));
    const __m512i even = _mm512_add_epi64(_mm512_mul_epi32(acc, multiplier), half);
    const __m512i odd = _mm512_add_epi64(_mm512_mul_epi32(_mm512_srli_epi64(acc, 32), multiplier), half);
    const __m512i p = _mm512_mask_blend_epi32(0xAAAA, _mm512_srli_epi64(even, 31), _mm512_slli_epi64(odd, 1));
    const __m512i remainder = _mm512_add_epi32(_mm512_and_si512(p, mask), _mm512_srai_epi32(acc, 31));
    const __m512i quotient = _mm512_srav_epi32(p, _mm512_set1_epi32(ep->q31_shift));
    const __mmask16 up = _mm512_cmpgt_epi32_mask(remainder, _mm512_srli_epi32(mask, 1));
    return _mm512_mask_add_epi32(quotient, up, quotient, _mm512_set1_epi32(1));
}

SQ_TARGET_END

#endif
