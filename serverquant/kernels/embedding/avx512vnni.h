SQ_INLINE void sq_unpack_avx512vnni(int bits, const uint8_t* from, float* to) {
    if (bits == 32) {
        memcpy(to, from, SQ_BAGS_BLOCK * 4);
        return;
    }
    if (bits == 16) {
        for (int c = 0; c < SQ_BAGS_BLOCK; c += 16)
            _mm512_storeu_ps(to + c, _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i*)(from + 2 * c))));
        return;
    }
    for (int part = 0; part < SQ_BAGS_BLOCK / 16; part++) {
        __m128i bytes; /* as in avx2.h */
        if (bits == 8) {
            bytes = _mm_loadu_si128((const __m128i*)(from + 16 * part));
        } else if (bits == 4) {
            const __m128i x = _mm_cvtepu8_epi16(_mm_loadl_epi64((const __m128i*)(from + 8 * part)));
            bytes = _mm_and_si128(_mm_or_si128(x, _mm_slli_epi16(x, 4)), _mm_set1_epi8(15));
        } else {
            int32_t four;
            memcpy(&four, from + 4 * part, 4);
            __m128i x = _mm_cvtepu8_epi32(_mm_cvtsi32_si128(four));
            x = _mm_or_si128(x, _mm_slli_epi32(x, 6));
            x = _mm_or_si128(x, _mm_slli_epi32(x, 12));
            bytes = _mm_and_si128(x, _mm_set1_epi8(3));
        }
        _mm512_storeu_ps(to + 16 * part, _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(bytes)));
    }
}
