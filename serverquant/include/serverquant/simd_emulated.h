/* What simde 0.8.2 lacks of the intrinsics used here, or does otherwise than the CPU. Test builds only: correctness counts, speed does not. */
#ifndef SERVERQUANT_SIMD_EMULATED_H
#define SERVERQUANT_SIMD_EMULATED_H

#include <stdint.h>
#include <string.h>

/* The compiler's own headers declare these names for AVX-512 code only: hence macros over functions of ours. */
static inline void sq_mask_store(void* p, uint64_t mask, const void* v, int count, int bytes) {
    for (int i = 0; i < count; i++)
        if (mask >> i & 1) memcpy((char*)p + i * bytes, (const char*)v + i * bytes, (size_t)bytes);
}
static inline void sq_mm512_mask_storeu_epi8(void* p, uint64_t mask, __m512i v) { sq_mask_store(p, mask, &v, 64, 1); }
static inline void sq_mm512_mask_storeu_epi32(void* p, uint16_t mask, __m512i v) { sq_mask_store(p, mask, &v, 16, 4); }
static inline void sq_mm512_mask_storeu_ps(void* p, uint16_t mask, __m512 v) { sq_mask_store(p, mask, &v, 16, 4); }
/* simde has the last two, but they store zeros where the mask has none. */
#undef _mm512_mask_storeu_epi32
#undef _mm512_mask_storeu_ps
#define _mm512_mask_storeu_epi8(p, mask, v) sq_mm512_mask_storeu_epi8(p, mask, v)
#define _mm512_mask_storeu_epi32(p, mask, v) sq_mm512_mask_storeu_epi32(p, mask, v)
#define _mm512_mask_storeu_ps(p, mask, v) sq_mm512_mask_storeu_ps(p, mask, v)

#define _mm512_stream_ps(p, v) _mm512_storeu_ps(p, v)

static inline void sq_mm512_mask_cvtepi32_storeu_epi8(void* p, uint16_t mask, __m512i v) {
    uint32_t words[16];
    _mm512_storeu_si512(words, v);
    for (int i = 0; i < 16; i++)
        if (mask >> i & 1) ((uint8_t*)p)[i] = (uint8_t)words[i];
}
#define _mm512_mask_cvtepi32_storeu_epi8(p, mask, v) sq_mm512_mask_cvtepi32_storeu_epi8(p, mask, v)

static inline __m512i sq_mm512_cvtepu8_epi32(__m128i v) {
    uint8_t bytes[16];
    uint32_t words[16];
    _mm_storeu_si128((__m128i*)bytes, v);
    for (int i = 0; i < 16; i++) words[i] = bytes[i];
    return _mm512_loadu_si512(words);
}
#define _mm512_cvtepu8_epi32(v) sq_mm512_cvtepu8_epi32(v)

static inline __m128i sq_mm512_cvtepi32_epi8(__m512i v) {
    uint32_t words[16];
    uint8_t bytes[16];
    _mm512_storeu_si512(words, v);
    for (int i = 0; i < 16; i++) bytes[i] = (uint8_t)words[i];
    return _mm_loadu_si128((const __m128i*)bytes);
}
#define _mm512_cvtepi32_epi8(v) sq_mm512_cvtepi32_epi8(v)

static inline __m512i sq_mm512_maskz_loadu_epi8(uint64_t mask, const void* p) {
    uint8_t bytes[64] = {0};
    for (int i = 0; i < 64; i++)
        if (mask >> i & 1) bytes[i] = ((const uint8_t*)p)[i];
    return _mm512_loadu_si512(bytes);
}
#define _mm512_maskz_loadu_epi8(mask, p) sq_mm512_maskz_loadu_epi8(mask, p)

/* 16 words of which those in the mask are read. */
static inline __m512i sq_mm512_maskz_loadu_epi32(uint16_t mask, const void* p) {
    uint32_t words[16] = {0};
    for (int i = 0; i < 16; i++)
        if (mask >> i & 1) memcpy(words + i, (const uint8_t*)p + 4 * i, 4);
    return _mm512_loadu_si512(words);
}
#define _mm512_maskz_loadu_epi32(mask, p) sq_mm512_maskz_loadu_epi32(mask, p)

static inline int32_t sq_mm512_reduce_add_epi32(__m512i v) {
    uint32_t words[16], sum = 0;
    _mm512_storeu_si512(words, v);
    for (int i = 0; i < 16; i++) sum += words[i];
    return (int32_t)sum;
}
#define _mm512_reduce_add_epi32(v) sq_mm512_reduce_add_epi32(v)

static inline __m512i sq_mm512_srav_epi32(__m512i v, __m512i by) {
    int32_t words[16], shifts[16];
    _mm512_storeu_si512(words, v);
    _mm512_storeu_si512(shifts, by);
    for (int i = 0; i < 16; i++) words[i] >>= shifts[i];
    return _mm512_loadu_si512(words);
}
#define _mm512_srav_epi32(v, by) sq_mm512_srav_epi32(v, by)

/* By halves. */
static inline __m256i sq_mm512_cvtps_ph(__m512 v) {
    float all[16];
    uint16_t halves[16];
    _mm512_storeu_ps(all, v);
    for (int i = 0; i < 16; i += 8)
        _mm_storeu_si128((__m128i*)(halves + i), _mm256_cvtps_ph(_mm256_loadu_ps(all + i), _MM_FROUND_TO_NEAREST_INT));
    return _mm256_loadu_si256((const __m256i*)halves);
}
#define _mm512_cvtps_ph(v, rounding) sq_mm512_cvtps_ph(v) /* to nearest, the only one in use */

static inline __m256i sq_mm256_maskz_loadu_epi8(uint32_t mask, const void* p) {
    uint8_t bytes[32] = {0};
    for (int i = 0; i < 32; i++)
        if (mask >> i & 1) bytes[i] = ((const uint8_t*)p)[i];
    return _mm256_loadu_si256((const __m256i*)bytes);
}
#define _mm256_maskz_loadu_epi8(mask, p) sq_mm256_maskz_loadu_epi8(mask, p)

static inline void sq_mm256_mask_storeu_epi8(void* p, uint32_t mask, __m256i v) {
    uint8_t bytes[32];
    _mm256_storeu_si256((__m256i*)bytes, v);
    for (int i = 0; i < 32; i++)
        if (mask >> i & 1) ((uint8_t*)p)[i] = bytes[i];
}
#define _mm256_mask_storeu_epi8(p, mask, v) sq_mm256_mask_storeu_epi8(p, mask, v)

#endif
