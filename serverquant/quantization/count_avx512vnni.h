/* A scan by AVX-512, included by count.h. */
#ifndef SERVERQUANT_COUNT_AVX512VNNI_H
#define SERVERQUANT_COUNT_AVX512VNNI_H

SQ_TARGET_AVX512VNNI_BEGIN

/* Ends of the lanes `there`, and if `places`, the bins' numbers of those that are not 0 (see count_avx2.h); how many those
 * are. */
SQ_INLINE int64_t v512_scan(const float *x, int64_t n, const sq_count_bins *bins, uint32_t *places,
                            sq_count_ends *ends) {
    const __m512 zero = _mm512_setzero_ps(), factor = _mm512_set1_ps(places ? (float)bins->factor : 0.0f);
    const __m512 bottom = _mm512_set1_ps(places ? bins->bottom : 0.0f), top = _mm512_set1_ps(places ? bins->top : 0.0f);
    const __m512i first = _mm512_set1_epi32(places ? bins->first : 0);
    __m512 lo = _mm512_set1_ps(INFINITY), hi = _mm512_set1_ps(-INFINITY), holes = zero;
    int64_t kept = 0;
    for (int64_t i = 0; i < n; i += 16) {
        const __mmask16 there = n - i < 16 ? (__mmask16)((1u << (n - i)) - 1) : (__mmask16)0xffff;
        _mm_prefetch((const char *)(x + i + SQ_COUNT_CHUNK), _MM_HINT_T0);
        const __m512 given = _mm512_maskz_loadu_ps(there, x + i);
        lo = _mm512_mask_min_ps(lo, there, lo, given);
        hi = _mm512_mask_max_ps(hi, there, hi, given);
        holes = _mm512_fmadd_ps(given, zero, holes);
        if (!places) continue;
        const __m512 v = _mm512_min_ps(_mm512_max_ps(given, bottom), top);
        const __m512 down = _mm512_roundscale_ps(_mm512_mul_ps(v, factor), _MM_FROUND_TO_NEG_INF);
        const __m512 bin =
            _mm512_mask_min_ps(down, _mm512_movepi32_mask(_mm512_castps_si512(v)), down, _mm512_set1_ps(-1.0f));
        const __m512i place = _mm512_sub_epi32(_mm512_cvttps_epi32(bin), first);
        const __mmask16 some = _mm512_cmp_ps_mask(v, zero, _CMP_NEQ_UQ);
        _mm512_storeu_si512(places + kept, _mm512_maskz_compress_epi32(some, place));
        kept += __builtin_popcount(some);
    }
    ends->lo = _mm512_reduce_min_ps(lo);
    ends->hi = _mm512_reduce_max_ps(hi);
    ends->holed = _mm512_cmp_ps_mask(holes, holes, _CMP_UNORD_Q) != 0;
    return kept;
}

static int64_t sq_count_scan_avx512vnni(const float *x, int64_t n, const sq_count_bins *bins, uint32_t *places,
                                        sq_count_ends *ends) {
    return places ? v512_scan(x, n, bins, places, ends) : v512_scan(x, n, NULL, NULL, ends);
}

SQ_TARGET_END
#endif
