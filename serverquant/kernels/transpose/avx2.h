/* Square blocks transposed in registers. They serve the rows of both x86 levels: wider registers gain nothing here. */
#include "turn4.h"

enum { SQ_BLOCK_1 = 16, SQ_BLOCK_4 = 8 };

/* 16 x 16 bytes. Interleaving row i with row i + 8, four times over, is a transposition: each pass moves one bit of the
 * row number into the column number.
 */
static void sq_block_1(const uint8_t* x, long long x_pitch, uint8_t* y, long long y_pitch) {
    __m128i r[16], t[16];
    for (int i = 0; i < 16; i++) r[i] = _mm_loadu_si128((const __m128i*)(x + i * x_pitch));
    for (int pass = 0; pass < 4; pass++) {
        for (int i = 0; i < 8; i++) {
            t[2 * i] = _mm_unpacklo_epi8(r[i], r[i + 8]);
            t[2 * i + 1] = _mm_unpackhi_epi8(r[i], r[i + 8]);
        }
        for (int i = 0; i < 16; i++) r[i] = t[i];
    }
    for (int i = 0; i < 16; i++) _mm_storeu_si128((__m128i*)(y + i * y_pitch), r[i]);
}

static void sq_pair_1(const uint8_t* x, long long x_pitch, uint8_t* y, long long y_pitch) {
    sq_block_1(x, x_pitch, y, y_pitch);
    sq_block_1(x + 16 * x_pitch, x_pitch, y + 16, y_pitch);
}

/* 8 x 8 elements of 4 bytes. */
static void sq_block_4(const uint32_t* x, long long x_pitch, uint32_t* y, long long y_pitch) {
    for (int c = 0; c < 8; c += 4) {
        __m256i column[4];
        sq_half_4(x + c, x_pitch, column);
        for (int i = 0; i < 4; i++) _mm256_storeu_si256((__m256i*)(y + (c + i) * y_pitch), column[i]);
    }
}

/* 16 x 8: both halves of a line of y are stored together. */
static void sq_pair_4(const uint32_t* x, long long x_pitch, uint32_t* y, long long y_pitch) {
    for (int c = 0; c < 8; c += 4) {
        __m256i upper[4], lower[4];
        sq_half_4(x + c, x_pitch, upper);
        sq_half_4(x + 8 * x_pitch + c, x_pitch, lower);
        for (int i = 0; i < 4; i++) {
            _mm256_storeu_si256((__m256i*)(y + (c + i) * y_pitch), upper[i]);
            _mm256_storeu_si256((__m256i*)(y + (c + i) * y_pitch + 8), lower[i]);
        }
    }
}
