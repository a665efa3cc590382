/* AVX-512 VNNI: the bytes of four taps are interleaved, then one vpdpbusd adds four products to each of 16 channels.
 * Weights: int8 [groups of 4 taps][4 vectors][16 columns][4 taps]. Column i of 128-bit lane l in vector v is channel
 * 16 l + 4 v + i of the block: what unpacking gives, and what packing the results again undoes. */
#ifndef SERVERQUANT_DWCONV_AVX512VNNI_H
#define SERVERQUANT_DWCONV_AVX512VNNI_H

#include <string.h>

#include "../gemm/epilogue.h"
#include "../gemm/q31.h"
#include "dwconv.h"
#include "serverquant/simd.h"

/* Where channel c of the block is among the 64 sums. */
static inline int32_t sq_dw_vnni_place(int32_t c) { return (c >> 2 & 3) * 16 + (c >> 4) * 4 + (c & 3); }

static int64_t sq_dwconv_u8s8s32_64c4_avx512vnni_block_bytes(int32_t taps) { return (int64_t)(taps + 3) / 4 * 256; }

static void sq_dwconv_u8s8s32_64c4_avx512vnni_pack(const int8_t* weights, const int32_t* zero_points, int32_t taps,
                                                   int32_t c0, int32_t n, int8_t* out) {
    (void)zero_points;
    memset(out, 0, (size_t)sq_dwconv_u8s8s32_64c4_avx512vnni_block_bytes(taps));
    for (int32_t tap = 0; tap < taps; tap++)
        for (int32_t c = 0; c < n; c++)
            out[tap / 4 * 256 + sq_dw_vnni_place(c) * 4 + tap % 4] = weights[(int64_t)(c0 + c) * taps + tap];
}

SQ_TARGET_AVX512VNNI_BEGIN

#define SQ_INLINE static inline __attribute__((always_inline))

/* 64 bytes of a row, of which those in the mask exist. */
SQ_INLINE __m512i dw512_load(const uint8_t* p, __mmask64 exist, const int full) {
    return full ? _mm512_loadu_si512((const void*)p) : _mm512_maskz_loadu_epi8(exist, (const void*)p);
}

/* Adds four taps; with `sums`, also the plain sums of the activations, `ones` marking the taps that exist. */
SQ_INLINE void dw512_four(__m512i acc[4], __m512i sum[4], const __m512i a[4], const int8_t* w, __m512i ones,
                          const int sums) {
    const __m512i lo01 = _mm512_unpacklo_epi8(a[0], a[1]), hi01 = _mm512_unpackhi_epi8(a[0], a[1]);
    const __m512i lo23 = _mm512_unpacklo_epi8(a[2], a[3]), hi23 = _mm512_unpackhi_epi8(a[2], a[3]);
    const __m512i x[4] = {_mm512_unpacklo_epi16(lo01, lo23), _mm512_unpackhi_epi16(lo01, lo23),
                          _mm512_unpacklo_epi16(hi01, hi23), _mm512_unpackhi_epi16(hi01, hi23)};
#pragma GCC unroll 4
    for (int v = 0; v < 4; v++) {
        acc[v] = _mm512_dpbusd_epi32(acc[v], x[v], _mm512_loadu_si512((const void*)(w + 64 * v)));
        if (sums) sum[v] = _mm512_dpbusd_epi32(sum[v], x[v], ones);
    }
}

SQ_INLINE void dw512_sums(const sq_dw_tile* t, int32_t pixel, __mmask64 exist, const int full, const int sums,
                          __m512i acc[4], const __m512i zero_points[4]) {
    const uint8_t* const* a = t->a + pixel;
    const int8_t* w = t->w;
    __m512i x[4], sum[4];
    int32_t tap = 0;
    for (int v = 0; v < 4; v++) sum[v] = _mm512_setzero_si512();
    for (; tap <= t->taps - 4; tap += 4, w += 256) {
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++) x[i] = dw512_load(a[(tap + i) * t->a_stride] + t->offset, exist, full);
        dw512_four(acc, sum, x, w, _mm512_set1_epi8(1), sums);
    }
    if (tap < t->taps) {
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++)
            x[i] = tap + i < t->taps ? dw512_load(a[(tap + i) * t->a_stride] + t->offset, exist, full)
                                     : _mm512_setzero_si512();
        dw512_four(acc, sum, x, w, _mm512_set1_epi8(1), sums);
    }
#pragma GCC unroll 4
    for (int v = 0; sums && v < 4; v++) acc[v] = _mm512_sub_epi32(acc[v], _mm512_mullo_epi32(sum[v], zero_points[v]));
}

SQ_INLINE void dw512_run(const sq_dw_tile* t, const int full, const int sums) {
    const sq_epilogue* ep = t->ep;
    const __m512i zero_point = _mm512_set1_epi16((short)ep->zero_point);
    const __m512i lo = _mm512_set1_epi8((char)ep->lo), hi = _mm512_set1_epi8((char)ep->hi);
    const __mmask64 exist = ~(__mmask64)0 >> (64 - t->n);
    int32_t bias[64] = {0}, zeros[64] = {0}, out[64];
    float m[64] = {0};
    for (int32_t c = 0; c < t->n; c++) {
        int32_t at = sq_dw_vnni_place(c);
        bias[at] = ep->bias[t->column + c];
        if (sums) zeros[at] = t->zero_points[c];
        if (ep->kind == SQ_REQUANT_F32) m[at] = ep->multiplier[ep->per_column ? t->column + c : 0];
    }
    for (int32_t i = 0; i < t->pixels; i++) {
        __m512i acc[4], zero_points[4];
#pragma GCC unroll 4
        for (int v = 0; v < 4; v++) {
            acc[v] = _mm512_loadu_si512((const void*)(bias + 16 * v));
            zero_points[v] = _mm512_loadu_si512((const void*)(zeros + 16 * v));
        }
        dw512_sums(t, i, exist, full, sums, acc, zero_points);
        if (ep->kind >= SQ_RAW_S32) {
            for (int v = 0; v < 4; v++) _mm512_storeu_si512((void*)(out + 16 * v), acc[v]);
            for (int32_t c = 0; c < t->n; c++)
                sq_finish_one(ep, out[sq_dw_vnni_place(c)], t->column + c, t->c, i * t->ldc + c);
            continue;
        }
#pragma GCC unroll 4
        for (int v = 0; v < 4; v++)
            acc[v] = ep->kind == SQ_REQUANT_Q31
                         ? v512_q31(acc[v], ep)
                         : _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_cvtepi32_ps(acc[v]), _mm512_loadu_ps(m + 16 * v)));
        __m512i q = _mm512_packus_epi16(_mm512_adds_epi16(_mm512_packs_epi32(acc[0], acc[1]), zero_point),
                                        _mm512_adds_epi16(_mm512_packs_epi32(acc[2], acc[3]), zero_point));
        q = _mm512_min_epu8(_mm512_max_epu8(q, lo), hi);
        if (full)
            _mm512_storeu_si512((void*)((uint8_t*)t->c + i * t->ldc), q);
        else
            _mm512_mask_storeu_epi8((void*)((uint8_t*)t->c + i * t->ldc), exist, q);
    }
}

static void dw512_full(const sq_dw_tile* t) { dw512_run(t, 1, 0); }
static void dw512_full_sums(const sq_dw_tile* t) { dw512_run(t, 1, 1); }
static void dw512_part(const sq_dw_tile* t) { dw512_run(t, 0, 0); }
static void dw512_part_sums(const sq_dw_tile* t) { dw512_run(t, 0, 1); }

static void sq_dwconv_u8s8s32_64c4_avx512vnni(const sq_dw_tile* t) {
    static void (*const runs[2][2])(const sq_dw_tile*) = {{dw512_part, dw512_part_sums}, {dw512_full, dw512_full_sums}};
    runs[t->n == 64][t->zero_points != NULL](t);
}

#undef SQ_INLINE
SQ_TARGET_END

#endif
