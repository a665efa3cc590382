/* AVX2: pairs of taps, widened to 16 bits, by vpmaddwd. Weights: int16 [tap pairs][2 vectors][8 columns][2 taps], zero
 * points subtracted. Vector 0 holds channels 0-3 and 8-11 of the block, vector 1 the others: what unpacking gives, and
 * what packing the results again undoes. */
#ifndef SERVERQUANT_DWCONV_AVX2_H
#define SERVERQUANT_DWCONV_AVX2_H

#include <string.h>

#include "../gemm/epilogue.h"
#include "../gemm/q31.h"
#include "dwconv.h"
#include "serverquant/simd.h"

/* Where channel c of the block is among the 16 sums. */
static inline int32_t sq_dw_avx2_place(int32_t c) { return (c >> 2 & 1) * 8 + (c >> 3) * 4 + (c & 3); }

static int64_t sq_dwconv_u8s16s32_16c2_avx2_block_bytes(int32_t taps) { return (int64_t)(taps + 1) / 2 * 64; }

static void sq_dwconv_u8s16s32_16c2_avx2_pack(const int8_t* weights, const int32_t* zero_points, int32_t taps,
                                              int32_t c0, int32_t n, int8_t* out) {
    int16_t* to = (int16_t*)(void*)out;
    memset(out, 0, (size_t)sq_dwconv_u8s16s32_16c2_avx2_block_bytes(taps));
    for (int32_t tap = 0; tap < taps; tap++)
        for (int32_t c = 0; c < n; c++)
            to[tap / 2 * 32 + sq_dw_avx2_place(c) * 2 + tap % 2] =
                (int16_t)(weights[(int64_t)(c0 + c) * taps + tap] - zero_points[c0 + c]);
}

SQ_TARGET_AVX2_BEGIN

/* 16 channels as 16-bit numbers; n of them exist. */
SQ_INLINE __m256i dw256_load(const uint8_t* p, int32_t n) {
    if (n == 16) return _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i*)(const void*)p));
    uint8_t bytes[16] = {0};
    memcpy(bytes, p, (size_t)n);
    return _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i*)(const void*)bytes));
}

SQ_INLINE void dw256_pair(__m256i acc[2], __m256i a0, __m256i a1, const int8_t* w) {
    const __m256i w0 = _mm256_loadu_si256((const __m256i*)(const void*)w);
    const __m256i w1 = _mm256_loadu_si256((const __m256i*)(const void*)(w + 32));
    acc[0] = _mm256_add_epi32(acc[0], _mm256_madd_epi16(_mm256_unpacklo_epi16(a0, a1), w0));
    acc[1] = _mm256_add_epi32(acc[1], _mm256_madd_epi16(_mm256_unpackhi_epi16(a0, a1), w1));
}

SQ_INLINE void dw256_sums(const sq_dw_tile* t, int32_t pixel, int32_t n, __m256i acc[2]) {
    const uint8_t* const* a = t->a + pixel;
    const int8_t* w = t->w;
    int32_t tap = 0;
    for (; tap <= t->taps - 2; tap += 2, w += 64)
        dw256_pair(acc, dw256_load(a[tap * t->a_stride] + t->offset, n),
                   dw256_load(a[(tap + 1) * t->a_stride] + t->offset, n), w);
    if (tap < t->taps)
        dw256_pair(acc, dw256_load(a[tap * t->a_stride] + t->offset, n), _mm256_setzero_si256(), w);
}

SQ_INLINE void dw256_run(const sq_dw_tile* t, int32_t n) {
    const sq_epilogue* ep = t->ep;
    const __m128i zero_point = _mm_set1_epi16((short)ep->zero_point);
    const __m128i lo = _mm_set1_epi8((char)ep->lo), hi = _mm_set1_epi8((char)ep->hi);
    int32_t bias[16] = {0}, out[16];
    float m[16] = {0};
    for (int32_t c = 0; c < n; c++) {
        bias[sq_dw_avx2_place(c)] = ep->bias[t->column + c];
        if (ep->kind == SQ_REQUANT_F32) m[sq_dw_avx2_place(c)] = ep->multiplier[ep->per_column ? t->column + c : 0];
    }
    const __m256 m0 = _mm256_loadu_ps(m), m1 = _mm256_loadu_ps(m + 8);
    for (int32_t i = 0; i < t->pixels; i++) {
        __m256i acc[2] = {_mm256_loadu_si256((const __m256i*)(const void*)bias),
                          _mm256_loadu_si256((const __m256i*)(const void*)(bias + 8))};
        dw256_sums(t, i, n, acc);
        if (ep->kind >= SQ_RAW_S32) {
            _mm256_storeu_si256((__m256i*)(void*)out, acc[0]);
            _mm256_storeu_si256((__m256i*)(void*)(out + 8), acc[1]);
            for (int32_t c = 0; c < n; c++)
                sq_finish_one(ep, out[sq_dw_avx2_place(c)], t->column + c, t->c, i * t->ldc + c);
            continue;
        }
        if (ep->kind == SQ_REQUANT_Q31) {
            acc[0] = v256_q31(acc[0], ep);
            acc[1] = v256_q31(acc[1], ep);
        } else {
            acc[0] = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_cvtepi32_ps(acc[0]), m0));
            acc[1] = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_cvtepi32_ps(acc[1]), m1));
        }
        const __m256i q = _mm256_packs_epi32(acc[0], acc[1]);
        __m128i v = _mm_packus_epi16(_mm_adds_epi16(_mm256_castsi256_si128(q), zero_point),
                                     _mm_adds_epi16(_mm256_extracti128_si256(q, 1), zero_point));
        v = _mm_min_epu8(_mm_max_epu8(v, lo), hi);
        uint8_t* to = (uint8_t*)t->c + i * t->ldc;
        if (n == 16) {
            _mm_storeu_si128((__m128i*)(void*)to, v);
        } else {
            _mm_storeu_si128((__m128i*)(void*)out, v);
            memcpy(to, out, (size_t)n);
        }
    }
}

static void sq_dwconv_u8s16s32_16c2_avx2(const sq_dw_tile* t) {
    if (t->n == 16)
        dw256_run(t, 16);
    else
        dw256_run(t, t->n);
}

SQ_TARGET_END

#endif
