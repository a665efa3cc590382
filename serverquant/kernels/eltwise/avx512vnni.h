/* AVX-512 bodies that beat the compiler's. */
static __m512 sq_fast_widen_avx512vnni(const uint8_t* x) {
    return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i*)x)));
}

/* Whole steps of 32 elements within [begin, end); returns where they end. */
static long long sq_fast_blocks_avx512vnni(const sq_add_u8_job* j, float offset, long long begin, long long end) {
    const __m512 a_scale = _mm512_set1_ps(j->a_scale), b_scale = _mm512_set1_ps(j->b_scale);
    const __m512 from = _mm512_set1_ps(offset), inverse = _mm512_set1_ps(1.0f / j->y_scale);
    const __m512 y_zero_point = _mm512_set1_ps((float)j->y_zero_point);
    const __m512 lo = _mm512_set1_ps((float)j->lo), hi = _mm512_set1_ps(255.0f);
    for (; begin + 32 <= end; begin += 32) {
        for (int k = 0; k < 32; k += 16) {
            __m512 t = _mm512_fmadd_ps(sq_fast_widen_avx512vnni(j->a + begin + k), a_scale, from);
            t = _mm512_fmadd_ps(sq_fast_widen_avx512vnni(j->b + begin + k), b_scale, t);
            t = _mm512_fmadd_ps(t, inverse, y_zero_point);
            const __m512i q = _mm512_cvtps_epi32(_mm512_min_ps(_mm512_max_ps(t, lo), hi));
            _mm_storeu_si128((__m128i*)(j->y + begin + k), _mm512_cvtepi32_epi8(q));
        }
    }
    return begin;
}
