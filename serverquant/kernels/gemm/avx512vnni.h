/* AVX-512 with VNNI: one vpdpbusd adds four products to each of 16 columns, exactly. */
#ifndef SERVERQUANT_GEMM_AVX512VNNI_H
#define SERVERQUANT_GEMM_AVX512VNNI_H

#include <string.h>

#include "epilogue.h"
#include "q31.h"
#include "serverquant/simd.h"
#include "serverquant/unroll.h"

SQ_TARGET_AVX512VNNI_BEGIN

SQ_INLINE __m512i v512_broadcast4(const uint8_t* p) {
    int32_t four;
    memcpy(&four, p, 4);
    return _mm512_set1_epi32(four);
}

/* The last n < 4 bytes of a row, zeros behind. */
SQ_INLINE __m512i v512_broadcast_tail(const uint8_t* p, int32_t n) {
    uint32_t v = p[0];
    if (n > 1) v |= (uint32_t)p[1] << 8;
    if (n > 2) v |= (uint32_t)p[2] << 16;
    return _mm512_set1_epi32((int32_t)v);
}

/* Which of 16 columns from `column` of the tile exist. full: all of all vectors do. */
SQ_INLINE __mmask16 v512_mask(const sq_tile* t, int column, const int full) {
    if (full) return 0xFFFF;
    int left = t->n - column;
    return left >= 16 ? (__mmask16)0xFFFF : (__mmask16)((1u << left) - 1u);
}

/* Four k of mr rows times nv vectors of columns. */
SQ_INLINE void v512_step(const uint8_t* const* a, int64_t k, const int8_t* w, const int mr, const int nv,
                         __m512i acc[8][4]) {
    __m512i b[4];
#pragma GCC unroll 4
    for (int j = 0; j < nv; j++) b[j] = _mm512_load_si512((const void*)(w + 64 * j));
#pragma GCC unroll 8
    for (int i = 0; i < mr; i++) {
        const __m512i x = v512_broadcast4(a[i] + k);
#pragma GCC unroll 4
        for (int j = 0; j < nv; j++) acc[i][j] = _mm512_dpbusd_epi32(acc[i][j], x, b[j]);
    }
}

/* The n < 4 last k. */
SQ_INLINE void v512_step_tail(const uint8_t* const* a, int64_t k, int32_t n, const int8_t* w, const int mr,
                              const int nv, __m512i acc[8][4]) {
#pragma GCC unroll 8
    for (int i = 0; i < mr; i++) {
        const __m512i x = v512_broadcast_tail(a[i] + k, n);
#pragma GCC unroll 4
        for (int j = 0; j < nv; j++)
            acc[i][j] = _mm512_dpbusd_epi32(acc[i][j], x, _mm512_load_si512((const void*)(w + 64 * j)));
    }
}

SQ_INLINE void v512_multiply(const sq_tile* t, const int mr, const int nv, __m512i acc[8][4]) {
    const int32_t taps = t->packed->taps, kc = t->packed->kc;
    const int8_t* w = t->w;
    for (int32_t tap = 0; tap < taps; tap++) {
        const uint8_t* a[8];
        int32_t k = 0;
#pragma GCC unroll 8
        for (int i = 0; i < mr; i++) a[i] = t->a[tap * t->a_stride + i] + t->a_offset;
        for (; k <= kc - 4; k += 4, w += 64 * nv) v512_step(a, k, w, mr, nv, acc);
        if (k < kc) v512_step_tail(a, k, kc - k, w, mr, nv, acc);
    }
}

/* Four vectors of 16 columns to 64 bytes in column order. */
SQ_INLINE __m512i v512_pack_u8(__m512i v0, __m512i v1, __m512i v2, __m512i v3, __m512i zero_point) {
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    /* Saturating here changes nothing: what lies beyond int16 ends at 0 or 255 with any zero point. */
    __m512i lo = _mm512_adds_epi16(_mm512_packs_epi32(v0, v1), zero_point);
    __m512i hi = _mm512_adds_epi16(_mm512_packs_epi32(v2, v3), zero_point);
    return _mm512_permutexvar_epi32(order, _mm512_packus_epi16(lo, hi));
}

SQ_INLINE void v512_store_u8(uint8_t* to, __m512i v, int32_t n, const int nv) {
    if (n == 16 * nv && nv == 4)
        _mm512_storeu_si512((void*)to, v);
    else if (n == 16 * nv && nv == 2)
        _mm256_storeu_si256((__m256i*)(void*)to, _mm512_castsi512_si256(v));
    else if (n == 16 * nv && nv == 1)
        _mm_storeu_si128((__m128i*)(void*)to, _mm512_castsi512_si128(v));
    else
        _mm512_mask_storeu_epi8((void*)to, ~(__mmask64)0 >> (64 - n), v);
}

/* What makes bytes of sums. */
typedef struct v512_levels {
    __m512 m[4];
    __m512i zero_point, lo, hi;
} v512_levels;

SQ_INLINE v512_levels v512_levels_of(const sq_tile* t, const int nv, const int full, const int q31) {
    const sq_epilogue* ep = t->ep;
    v512_levels to;
    to.zero_point = _mm512_set1_epi16((short)ep->zero_point);
    to.lo = _mm512_set1_epi8((char)ep->lo), to.hi = _mm512_set1_epi8((char)ep->hi);
#pragma GCC unroll 4
    for (int j = 0; j < nv && !q31; j++)
        to.m[j] = ep->per_column
                      ? _mm512_maskz_loadu_ps(v512_mask(t, 16 * j, full), ep->multiplier + t->column + 16 * j)
                      : _mm512_set1_ps(ep->multiplier[0]);
    return to;
}

/* Of the sums in vector j, before the zero point. */
SQ_INLINE __m512i v512_level(const sq_epilogue* ep, const v512_levels* to, const int j, const int nv, const int q31,
                             const __m512i sums[4]) {
    if (j >= nv) return _mm512_setzero_si512();
    if (q31) return v512_q31(sums[j], ep);
    return _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_cvtepi32_ps(sums[j]), to->m[j]));
}

/* Bytes of one row's sums. */
SQ_INLINE __m512i v512_levels_row(const sq_epilogue* ep, const v512_levels* to, const int nv, const int q31,
                                  const __m512i sums[4]) {
    const __m512i v =
        v512_pack_u8(v512_level(ep, to, 0, nv, q31, sums), v512_level(ep, to, 1, nv, q31, sums),
                     v512_level(ep, to, 2, nv, q31, sums), v512_level(ep, to, 3, nv, q31, sums), to->zero_point);
    return _mm512_min_epu8(_mm512_max_epu8(v, to->lo), to->hi);
}

SQ_INLINE void v512_requantize(const sq_tile* t, const int mr, const int nv, const int full, const int q31,
                               __m512i acc[8][4]) {
    const v512_levels to = v512_levels_of(t, nv, full, q31);
#pragma GCC unroll 8
    for (int i = 0; i < mr; i++)
        v512_store_u8((uint8_t*)t->c + i * t->ldc, v512_levels_row(t->ep, &to, nv, q31, acc[i]), full ? 16 * nv : t->n,
                      nv);
}

SQ_INLINE void v512_subtract_row_sums(const sq_tile* t, const int mr, const int nv, const int full,
                                      __m512i acc[8][4]) {
#pragma GCC unroll 4
    for (int j = 0; j < nv; j++) {
        const __m512i zero_point = _mm512_maskz_loadu_epi32(v512_mask(t, 16 * j, full), t->zero_points + 16 * j);
#pragma GCC unroll 8
        for (int i = 0; i < mr; i++)
            acc[i][j] = _mm512_sub_epi32(acc[i][j], _mm512_mullo_epi32(_mm512_set1_epi32(t->row_sums[i]), zero_point));
    }
}

SQ_INLINE void v512_tile(const sq_tile* t, const int mr, const int nv, const int full) {
    __m512i acc[8][4];
#pragma GCC unroll 4
    for (int j = 0; j < nv; j++) {
        const __m512i bias = _mm512_maskz_loadu_epi32(v512_mask(t, 16 * j, full), t->ep->bias + t->column + 16 * j);
#pragma GCC unroll 8
        for (int i = 0; i < mr; i++) acc[i][j] = bias;
    }
    if (t->row_sums && !t->zero_points) {
#pragma GCC unroll 8
        for (int i = 0; i < mr; i++) {
            const __m512i sum = _mm512_set1_epi32(t->row_sums[i]);
#pragma GCC unroll 4
            for (int j = 0; j < nv; j++) acc[i][j] = _mm512_sub_epi32(acc[i][j], sum);
        }
    }
    v512_multiply(t, mr, nv, acc);
    if (t->zero_points) v512_subtract_row_sums(t, mr, nv, full, acc);
    if (t->ep->kind == SQ_REQUANT_F32) {
        v512_requantize(t, mr, nv, full, 0, acc);
    } else if (t->ep->kind == SQ_REQUANT_Q31) {
        v512_requantize(t, mr, nv, full, 1, acc);
    } else {
        int32_t out[8 * 64];
#pragma GCC unroll 8
        for (int i = 0; i < mr; i++)
#pragma GCC unroll 4
            for (int j = 0; j < nv; j++) _mm512_storeu_si512((void*)(out + i * 64 + 16 * j), acc[i][j]);
        sq_finish_tile(t, out, 64);
    }
}

#include "stagger.h"

#define SQ_TILE(mr, nv) \
    static void v512_tile_##mr##x##nv(const sq_tile* t) { v512_tile(t, mr, nv, 0); }
#define SQ_TILES(nv) SQ_TILE(1, nv) SQ_TILE(2, nv) SQ_TILE(3, nv) SQ_TILE(4, nv) SQ_TILE(5, nv) SQ_TILE(6, nv)
SQ_TILES(1) SQ_TILE(7, 1) SQ_TILE(8, 1)
SQ_TILES(2) SQ_TILE(7, 2) SQ_TILE(8, 2)
SQ_TILES(3) SQ_TILE(7, 3) SQ_TILE(8, 3)
SQ_TILES(4)
#undef SQ_TILES
#undef SQ_TILE

/* Most products are made of these, which need no mask. */
static __attribute__((noinline)) void v512_tile_full(const sq_tile* t) { v512_tile(t, 6, 4, 1); }
#define SQ_STAGGER(name, mr, one_tap, q31) \
    static __attribute__((noinline)) void v512_##name(const sq_tile* t) { v512_stagger(t, mr, one_tap, q31); }
SQ_STAGGER(five_one_tap, 5, 1, 0) SQ_STAGGER(five_taps, 5, 0, 0) SQ_STAGGER(five_q31, 5, 0, 1)
SQ_STAGGER(six_one_tap, 6, 1, 0) SQ_STAGGER(six_taps, 6, 0, 0) SQ_STAGGER(six_q31, 6, 0, 1)
#undef SQ_STAGGER

static void sq_gemm_u8s8s32_6x64c4_avx512vnni(const sq_tile* t) {
#define SQ_SIX(nv) v512_tile_1x##nv, v512_tile_2x##nv, v512_tile_3x##nv, v512_tile_4x##nv, v512_tile_5x##nv, v512_tile_6x##nv
    static void (*const tiles[4][8])(const sq_tile*) = {
        {SQ_SIX(1), v512_tile_7x1, v512_tile_8x1},
        {SQ_SIX(2), v512_tile_7x2, v512_tile_8x2},
        {SQ_SIX(3), v512_tile_7x3, v512_tile_8x3},
        {SQ_SIX(4)},
    };
#undef SQ_SIX
    static void (*const staggered[2][3])(const sq_tile*) = {
        {v512_five_one_tap, v512_five_taps, v512_five_q31},
        {v512_six_one_tap, v512_six_taps, v512_six_q31},
    };
    if (t->m > 8)
        staggered[t->m % 6 == 0][t->ep->kind == SQ_REQUANT_Q31 ? 2 : t->packed->taps > 1](t);
    else
        (t->m == 6 && t->n == 64 ? v512_tile_full : tiles[(t->n - 1) / 16][t->m - 1])(t);
}

/* Sums of the four lanes' worth of each vector: [a, b, c, d]. */
SQ_INLINE __m128i v512_quarter(__m512i a, __m512i b, __m512i c, __m512i d) {
    const __m512i ab = _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
    const __m512i cd = _mm512_add_epi32(_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
    const __m512i all = _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
    const __m256i half = _mm256_add_epi32(_mm512_castsi512_si256(all), _mm512_extracti64x4_epi64(all, 1));
    return _mm_add_epi32(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
}

/* Sums of rows i .. i + count, count <= 4. */
SQ_INLINE __m128i v512_sum_rows(const uint8_t* const* a, int64_t a_stride, int64_t a_offset, int32_t taps, int32_t kc,
                                int32_t i, const int count) {
    const __m512i ones = _mm512_set1_epi8(1);
    const __mmask64 tail = (~(__mmask64)0) >> (64 - (kc & 63)) % 64;
    __m512i sum[4] = {_mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512()};
    for (int32_t tap = 0; tap < taps; tap++) {
        const uint8_t* row[4];
        int32_t k = 0;
#pragma GCC unroll 4
        for (int r = 0; r < count; r++) row[r] = a[tap * a_stride + i + r] + a_offset;
        for (; k <= kc - 64; k += 64)
#pragma GCC unroll 4
            for (int r = 0; r < count; r++)
                sum[r] = _mm512_dpbusd_epi32(sum[r], _mm512_loadu_si512((const void*)(row[r] + k)), ones);
        if (k == kc) continue;
#pragma GCC unroll 4
        for (int r = 0; r < count; r++)
            sum[r] = _mm512_dpbusd_epi32(sum[r], _mm512_maskz_loadu_epi8(tail, (const void*)(row[r] + k)), ones);
    }
    return v512_quarter(sum[0], sum[1], sum[2], sum[3]);
}

static void sq_gemm_u8s8s32_6x64c4_avx512vnni_sum_rows(const uint8_t* const* a, int64_t a_stride, int64_t a_offset,
                                                       int32_t taps, int32_t kc, int32_t m, int32_t* sums) {
    int32_t i = 0;
    for (; i <= m - 4; i += 4)
        _mm_storeu_si128((__m128i*)(void*)(sums + i), v512_sum_rows(a, a_stride, a_offset, taps, kc, i, 4));
    for (; i < m; i++) sums[i] = _mm_cvtsi128_si32(v512_sum_rows(a, a_stride, a_offset, taps, kc, i, 1));
}

SQ_INLINE __m512i v512_join(const __m128i q[4]) {
    const __m512i lower = _mm512_castsi256_si512(_mm256_inserti128_si256(_mm256_castsi128_si256(q[0]), q[1], 1));
    return _mm512_inserti64x4(lower, _mm256_inserti128_si256(_mm256_castsi128_si256(q[2]), q[3], 1), 1);
}

#define TH_NAME(x) v512_thin_##x
#define TH_V __m512i
#define TH_LANES 16
#define TH_STEP 64
#define TH_X(p) _mm512_loadu_si512((const void*)(p))
#define TH_X_PART(p, count) _mm512_maskz_loadu_epi8(~(__mmask64)0 >> (64 - (count)), (const void*)(p))
#define TH_W(p) _mm512_load_si512((const void*)(p))
#define TH_DOT(acc, x, w) _mm512_dpbusd_epi32(acc, x, w)
#define TH_ZERO() _mm512_setzero_si512()
#define TH_QUARTER v512_quarter
#define TH_JOIN v512_join
#define TH_LOAD(p) _mm512_loadu_si512((const void*)(p))
#define TH_STORE(p, v) _mm512_storeu_si512((void*)(p), v)
#define TH_FIRST(p, count) _mm512_maskz_loadu_epi32((__mmask16)((1u << (count)) - 1u), p)
#define TH_TAKE(v, places) _mm512_permutexvar_epi32(places, v)
#define TH_OP(x) _mm512_##x
#define TH_BYTES(v) _mm512_cvtepi32_epi8(v)
#define TH_INTS(v) _mm512_castps_si512(v)
#define TH_FLOATS(v) _mm512_castsi512_ps(v)
#define TH_Q31 v512_q31
#include "thin.h"

static void sq_gemm_u8s8s32_16x4c64_avx512vnni(const sq_tile* t) { v512_thin_tile_of(t); }
#define sq_gemm_u8s8s32_16x4c64_avx512vnni_sum_rows sq_gemm_u8s8s32_6x64c4_avx512vnni_sum_rows

SQ_TARGET_END

#endif
