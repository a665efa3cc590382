/* 4-byte elements transposed in AVX2 registers. */
#ifndef SERVERQUANT_TURN4_H
#define SERVERQUANT_TURN4_H

/* 8 rows of four elements of 4 bytes to four columns: rows i and i + 4 share a register, each half is a 4 x 4 block. */
SQ_INLINE void sq_half_4(const uint32_t* x, long long x_pitch, __m256i y[4]) {
    __m256i r[4];
    _Pragma("GCC unroll 4") for (int i = 0; i < 4; i++) {
        const __m128i upper = _mm_loadu_si128((const __m128i*)(x + i * x_pitch));
        const __m128i lower = _mm_loadu_si128((const __m128i*)(x + (i + 4) * x_pitch));
        r[i] = _mm256_inserti128_si256(_mm256_castsi128_si256(upper), lower, 1);
    }
    const __m256i even_lo = _mm256_unpacklo_epi32(r[0], r[2]), even_hi = _mm256_unpackhi_epi32(r[0], r[2]);
    const __m256i odd_lo = _mm256_unpacklo_epi32(r[1], r[3]), odd_hi = _mm256_unpackhi_epi32(r[1], r[3]);
    y[0] = _mm256_unpacklo_epi32(even_lo, odd_lo);
    y[1] = _mm256_unpackhi_epi32(even_lo, odd_lo);
    y[2] = _mm256_unpacklo_epi32(even_hi, odd_hi);
    y[3] = _mm256_unpackhi_epi32(even_hi, odd_hi);
}

#endif
