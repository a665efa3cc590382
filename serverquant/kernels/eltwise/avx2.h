/* AVX2 bodies that beat the compiler's. */
SQ_INLINE __m256 sq_fast_step_avx2(const uint8_t* a, const uint8_t* b, __m256 a_scale, __m256 b_scale, __m256 offset,
                                   __m256 inverse, __m256 y_zero_point) {
    __m256 t = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i*)a)));
    t = _mm256_fmadd_ps(t, a_scale, offset);
    t = _mm256_fmadd_ps(_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i*)b))), b_scale, t);
    return _mm256_fmadd_ps(t, inverse, y_zero_point);
}

/* Whole steps of 32 elements within [begin, end); returns where they end. The lower end of the clamp is left to the
 * bytes: what lies below the least integer, and NaN, which the order of min's operands keeps, becomes that integer and
 * then 0. */
static long long sq_fast_blocks_avx2(const sq_add_u8_job* j, long long begin, long long end) {
    const __m256 a_scale = _mm256_set1_ps(j->a_scale), b_scale = _mm256_set1_ps(j->b_scale);
    const __m256 from = _mm256_set1_ps(j->offset), inverse = _mm256_set1_ps(j->inverse);
    const __m256 y_zero_point = _mm256_set1_ps((float)j->y_zero_point), hi = _mm256_set1_ps(255.0f);
    const __m256i lo = _mm256_set1_epi8((char)j->lo);
    const __m256i in_order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7); /* packing works within halves */
    for (; begin + 32 <= end; begin += 32) {
        __m256i q[4];
        for (int k = 0; k < 4; k++) {
            const uint8_t *a = j->a + begin + 8 * k, *b = j->b + begin + 8 * k;
            const __m256 t = sq_fast_step_avx2(a, b, a_scale, b_scale, from, inverse, y_zero_point);
            q[k] = _mm256_cvtps_epi32(_mm256_min_ps(hi, t));
        }
        const __m256i bytes = _mm256_packus_epi16(_mm256_packs_epi32(q[0], q[1]), _mm256_packs_epi32(q[2], q[3]));
        _mm256_storeu_si256((__m256i*)(j->y + begin), _mm256_permutevar8x32_epi32(_mm256_max_epu8(bytes, lo), in_order));
    }
    return begin;
}
