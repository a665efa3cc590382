/* 16 values of `bits` bits as floats. */
SQ_INLINE void sq_unpack_avx512vnni(int bits, const uint8_t* from, __m512* to) {
    if (bits == 32) {
        *to = _mm512_loadu_ps(from);
    } else if (bits == 16) {
        *to = _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i*)from));
    } else {
        __m128i bytes; /* as in avx2.h */
        if (bits == 8) {
            bytes = _mm_loadu_si128((const __m128i*)from);
        } else if (bits == 4) {
            const __m128i x = _mm_cvtepu8_epi16(_mm_loadl_epi64((const __m128i*)from));
            bytes = _mm_and_si128(_mm_or_si128(x, _mm_slli_epi16(x, 4)), _mm_set1_epi8(15));
        } else {
            int32_t four;
            memcpy(&four, from, 4);
            __m128i x = _mm_cvtepu8_epi32(_mm_cvtsi32_si128(four));
            x = _mm_or_si128(x, _mm_slli_epi32(x, 6));
            x = _mm_or_si128(x, _mm_slli_epi32(x, 12));
            bytes = _mm_and_si128(x, _mm_set1_epi8(3));
        }
        *to = _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(bytes));
    }
}

SQ_INLINE void sq_two_halves_avx512vnni(const uint8_t* from, float* scale, float* bias) {
    int32_t both;
    memcpy(&both, from, 4);
    const __m128 two = _mm_cvtph_ps(_mm_cvtsi32_si128(both));
    *scale = _mm_cvtss_f32(two), *bias = _mm_cvtss_f32(_mm_movehdup_ps(two));
}
