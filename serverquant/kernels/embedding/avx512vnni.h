/* 16 values of `bits` bits as floats. Values of less than a byte: each lane shifts a copy of its value's word, and the
 * lowest 4 bits, all that the permutation looks at, choose the float. */
SQ_INLINE void sq_unpack_avx512vnni(int bits, const uint8_t* from, __m512* to) {
    if (bits == 32) {
        *to = _mm512_loadu_ps(from);
    } else if (bits == 16) {
        *to = _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i*)from));
    } else if (bits == 8) {
        *to = _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i*)from)));
    } else if (bits == 4) {
        const __m512i word = _mm512_setr_epi32(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1);
        const __m512i by = _mm512_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28, 0, 4, 8, 12, 16, 20, 24, 28);
        const __m512 values = _mm512_setr_ps(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
        const __m512i both = _mm512_castsi128_si512(_mm_loadl_epi64((const __m128i*)from));
        *to = _mm512_permutexvar_ps(_mm512_srlv_epi32(_mm512_permutexvar_epi32(word, both), by), values);
    } else {
        const __m512i by = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
        const __m512 values = _mm512_setr_ps(0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3);
        int32_t word;
        memcpy(&word, from, 4);
        *to = _mm512_permutexvar_ps(_mm512_srlv_epi32(_mm512_set1_epi32(word), by), values);
    }
}

SQ_INLINE void sq_two_halves_avx512vnni(const uint8_t* from, __m512* scale, __m512* bias) {
    int32_t both;
    memcpy(&both, from, 4);
    const __m128 two = _mm_cvtph_ps(_mm_cvtsi32_si128(both));
    *scale = _mm512_broadcastss_ps(two), *bias = _mm512_broadcastss_ps(_mm_movehdup_ps(two));
}
