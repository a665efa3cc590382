/* AVX-512 bodies that beat the compiler's. */
static __m512 sq_fast_widen_avx512vnni(const uint8_t* x) {
    return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i*)x)));
}

/* Whole steps of 64 elements within [begin, end); returns where they end. The lower end of the clamp is left to the
 * bytes, see avx2.h. */
static long long sq_fast_blocks_avx512vnni(const sq_add_u8_job* j, long long begin, long long end) {
    const __m512 a_scale = _mm512_set1_ps(j->a_scale), b_scale = _mm512_set1_ps(j->b_scale);
    const __m512 from = _mm512_set1_ps(j->offset), inverse = _mm512_set1_ps(j->inverse);
    const __m512 y_zero_point = _mm512_set1_ps((float)j->y_zero_point), hi = _mm512_set1_ps(255.0f);
    const __m512i lo = _mm512_set1_epi8((char)j->lo);
    const __m512i in_order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    for (; begin + 64 <= end; begin += 64) {
        __m512i q[4];
        for (int k = 0; k < 4; k++) {
            __m512 t = _mm512_fmadd_ps(sq_fast_widen_avx512vnni(j->a + begin + 16 * k), a_scale, from);
            t = _mm512_fmadd_ps(sq_fast_widen_avx512vnni(j->b + begin + 16 * k), b_scale, t);
            q[k] = _mm512_cvtps_epi32(_mm512_min_ps(hi, _mm512_fmadd_ps(t, inverse, y_zero_point)));
        }
        const __m512i bytes = _mm512_packus_epi16(_mm512_packs_epi32(q[0], q[1]), _mm512_packs_epi32(q[2], q[3]));
        _mm512_storeu_si512((void*)(j->y + begin), _mm512_permutexvar_epi32(in_order, _mm512_max_epu8(bytes, lo)));
    }
    return begin;
}
