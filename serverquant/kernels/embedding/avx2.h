/* 16 values of `bits` bits as floats. Values of less than a byte: each lane shifts a copy of its value's word. */
SQ_INLINE void sq_unpack_avx2(int bits, const uint8_t* from, __m256* to) {
#pragma GCC unroll 2
    for (int half = 0; half < 2; half++) {
        const uint8_t* at = from + half * bits;
        if (bits == 32) {
            to[half] = _mm256_loadu_ps((const float*)at);
        } else if (bits == 16) {
            to[half] = _mm256_cvtph_ps(_mm_loadu_si128((const __m128i*)at));
        } else if (bits == 8) {
            to[half] = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i*)at)));
        } else {
            int32_t word;
            memcpy(&word, bits == 4 ? at : from, 4);
            const __m256i first = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
            const __m256i by = bits == 4 ? _mm256_slli_epi32(first, 2)
                                         : _mm256_add_epi32(_mm256_slli_epi32(first, 1), _mm256_set1_epi32(16 * half));
            const __m256i q = _mm256_srlv_epi32(_mm256_set1_epi32(word), by);
            to[half] = _mm256_cvtepi32_ps(_mm256_and_si256(q, _mm256_set1_epi32((1 << bits) - 1)));
        }
    }
}

SQ_INLINE void sq_two_halves_avx2(const uint8_t* from, __m256* scale, __m256* bias) {
    int32_t both;
    memcpy(&both, from, 4);
    const __m128 two = _mm_cvtph_ps(_mm_cvtsi32_si128(both));
    *scale = _mm256_broadcastss_ps(two), *bias = _mm256_broadcastss_ps(_mm_movehdup_ps(two));
}
