/* 16 values at a time as bytes in order: copies of a byte's wider word, shifted so that each of its bytes has its own
 * value in the low bits. */
SQ_INLINE __m128i sq_bytes_avx2(int bits, const uint8_t* from) {
    if (bits == 8) return _mm_loadu_si128((const __m128i*)from);
    if (bits == 4) {
        const __m128i x = _mm_cvtepu8_epi16(_mm_loadl_epi64((const __m128i*)from));
        return _mm_and_si128(_mm_or_si128(x, _mm_slli_epi16(x, 4)), _mm_set1_epi8(15));
    }
    int32_t four;
    memcpy(&four, from, 4);
    __m128i x = _mm_cvtepu8_epi32(_mm_cvtsi32_si128(four));
    x = _mm_or_si128(x, _mm_slli_epi32(x, 6));
    x = _mm_or_si128(x, _mm_slli_epi32(x, 12));
    return _mm_and_si128(x, _mm_set1_epi8(3));
}

/* Values of `bits` bits from the first of `from` on, as floats: 16 of them. */
SQ_INLINE void sq_unpack_avx2(int bits, const uint8_t* from, __m256* to) {
    if (bits == 32) {
        to[0] = _mm256_loadu_ps((const float*)from), to[1] = _mm256_loadu_ps((const float*)from + 8);
    } else if (bits == 16) {
        to[0] = _mm256_cvtph_ps(_mm_loadu_si128((const __m128i*)from));
        to[1] = _mm256_cvtph_ps(_mm_loadu_si128((const __m128i*)from + 1));
    } else {
        const __m128i bytes = sq_bytes_avx2(bits, from);
        to[0] = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes));
        to[1] = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_srli_si128(bytes, 8)));
    }
}

SQ_INLINE void sq_two_halves_avx2(const uint8_t* from, float* scale, float* bias) {
    int32_t both;
    memcpy(&both, from, 4);
    const __m128 two = _mm_cvtph_ps(_mm_cvtsi32_si128(both));
    *scale = _mm_cvtss_f32(two), *bias = _mm_cvtss_f32(_mm_movehdup_ps(two));
}
