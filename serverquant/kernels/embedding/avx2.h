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

SQ_INLINE void sq_unpack_avx2(int bits, const uint8_t* from, float* to) {
    if (bits == 32) {
        memcpy(to, from, SQ_BAGS_BLOCK * 4);
        return;
    }
    if (bits == 16) {
        for (int c = 0; c < SQ_BAGS_BLOCK; c += 8)
            _mm256_storeu_ps(to + c, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i*)(from + 2 * c))));
        return;
    }
    for (int part = 0; part < SQ_BAGS_BLOCK / 16; part++) {
        const __m128i bytes = sq_bytes_avx2(bits, from + part * 2 * bits);
        const __m256i low = _mm256_cvtepu8_epi32(bytes), high = _mm256_cvtepu8_epi32(_mm_srli_si128(bytes, 8));
        _mm256_storeu_ps(to + 16 * part, _mm256_cvtepi32_ps(low));
        _mm256_storeu_ps(to + 16 * part + 8, _mm256_cvtepi32_ps(high));
    }
}
