/* AVX2: vpmaddubsw multiplies two pairs of bytes per column into int16, which the packing keeps from saturating.
 * Weights of depth 2 may even be added once in int16 before vpmaddwd widens; see narrow.h for the bound. Where too many
 * weights break it, both operands are widened to int16 before vpmaddwd (depth 0): no bound, and no extra vectors. */
#ifndef SERVERQUANT_GEMM_AVX2_H
#define SERVERQUANT_GEMM_AVX2_H

#include <string.h>

#include "epilogue.h"
#include "q31.h"
#include "serverquant/simd.h"
#include "serverquant/unroll.h"

SQ_TARGET_AVX2_BEGIN

SQ_INLINE __m256i v256_broadcast4(const uint8_t* p) {
    int32_t four;
    memcpy(&four, p, 4);
    return _mm256_set1_epi32(four);
}

/* The last n < 4 bytes of a row, zeros behind. */
SQ_INLINE __m256i v256_broadcast_tail(const uint8_t* p, int32_t n) {
    uint32_t v = p[0];
    if (n > 1) v |= (uint32_t)p[1] << 8;
    if (n > 2) v |= (uint32_t)p[2] << 16;
    return _mm256_set1_epi32((int32_t)v);
}

/* All ones in those of 8 columns from `column` of the tile that exist. */
SQ_INLINE __m256i v256_mask(const sq_tile* t, int column) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(t->n - column), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

SQ_INLINE __m256i v256_weights(const int8_t* w) { return _mm256_load_si256((const __m256i*)(const void*)w); }

SQ_INLINE __m256i v256_dot(__m256i acc, __m256i x, __m256i w) {
    return _mm256_add_epi32(acc, _mm256_madd_epi16(_mm256_maddubs_epi16(x, w), _mm256_set1_epi16(1)));
}

SQ_INLINE __m256i v256_dot2(__m256i acc, __m256i x0, __m256i w0, __m256i x1, __m256i w1) {
    const __m256i pairs = _mm256_add_epi16(_mm256_maddubs_epi16(x0, w0), _mm256_maddubs_epi16(x1, w1));
    return _mm256_add_epi32(acc, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

/* Adds one extra vector, at k of a tap that has `left` more; a constant one where there are four or more. */
SQ_INLINE void v256_extra(const sq_packed* p, const sq_extra* e, const int mr, const int j, const uint8_t* const* a,
                          int32_t k, int32_t left, __m256i acc[4][2]) {
    const __m256i w = v256_weights(p->extra_data + (int64_t)e->vector * 32);
#pragma GCC unroll 4
    for (int i = 0; i < mr; i++)
        acc[i][j] = v256_dot(acc[i][j], left < 4 ? v256_broadcast_tail(a[i] + k, left) : v256_broadcast4(a[i] + k), w);
}

/* Adds the extra vectors of one tap, k0 <= k < k0 + kc; `next` walks the panel's lists. */
SQ_INLINE void v256_extras(const sq_tile* t, const int mr, const int nv, const uint8_t* const* a, int32_t k0,
                           int32_t* next, const int32_t* end, __m256i acc[4][2]) {
    const sq_packed* p = t->packed;
    const int32_t last = k0 + p->kc;
    if (!p->extras) return;
#pragma GCC unroll 2
    for (int j = 0; j < nv; j++) {
        const sq_extra *e = p->extras + next[j], *const stop = p->extras + end[j];
        for (; e < stop && e->k <= last - 4; e++) v256_extra(p, e, mr, j, a, e->k - k0, 4, acc);
        for (; e < stop && e->k < last; e++) v256_extra(p, e, mr, j, a, e->k - k0, last - e->k, acc);
        next[j] = (int32_t)(e - p->extras);
    }
}

SQ_INLINE void v256_multiply(const sq_tile* t, const int mr, const int nv, const int depth, __m256i acc[4][2]) {
    const sq_packed* p = t->packed;
    const int32_t kc = p->kc;
    const int8_t* w = t->w;
    int32_t next[2] = {0, 0}, end[2] = {0, 0};
    for (int j = 0; p->extras && j < nv; j++) {
        next[j] = p->extra_begin[t->panel * 2 + j];
        end[j] = p->extra_begin[t->panel * 2 + j + 1];
    }
    for (int32_t tap = 0; tap < p->taps; tap++) {
        const uint8_t* a[4];
        int32_t k = 0;
#pragma GCC unroll 4
        for (int i = 0; i < mr; i++) a[i] = t->a[tap * t->a_stride + i] + t->a_offset;
        for (; depth == 2 && k <= kc - 8; k += 8, w += 64 * nv) {
#pragma GCC unroll 2
            for (int j = 0; j < nv; j++) {
                const __m256i w0 = v256_weights(w + 32 * j), w1 = v256_weights(w + 32 * (nv + j));
#pragma GCC unroll 4
                for (int i = 0; i < mr; i++)
                    acc[i][j] = v256_dot2(acc[i][j], v256_broadcast4(a[i] + k), w0, v256_broadcast4(a[i] + k + 4), w1);
            }
        }
        for (; k <= kc - 4; k += 4, w += 32 * nv) {
            const __m256i w0 = v256_weights(w), w1 = v256_weights(w + 32 * (nv - 1));
#pragma GCC unroll 4
            for (int i = 0; i < mr; i++) {
                const __m256i x = v256_broadcast4(a[i] + k);
                acc[i][0] = v256_dot(acc[i][0], x, w0);
                if (nv == 2) acc[i][1] = v256_dot(acc[i][1], x, w1);
            }
        }
        if (k < kc) {
#pragma GCC unroll 4
            for (int i = 0; i < mr; i++) {
                const __m256i x = v256_broadcast_tail(a[i] + k, kc - k);
#pragma GCC unroll 2
                for (int j = 0; j < nv; j++) acc[i][j] = v256_dot(acc[i][j], x, v256_weights(w + 32 * j));
            }
        }
        v256_extras(t, mr, nv, a, tap * kc, next, end, acc);
    }
}

SQ_INLINE __m256i v256_widen_part(const uint8_t* p, int32_t count) {
    uint8_t bytes[16] = {0};
    memcpy(bytes, p, (size_t)count);
    return _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i*)(const void*)bytes));
}

enum { SQ_WIDE_K = 256 /* k of a tap whose activations are widened at once: they stay in the L1 cache */ };

/* x[i][0..count] = a[i][0..count], zeros behind up to a multiple of 16. */
SQ_INLINE void v256_widen_rows(const int mr, const uint8_t* const* a, int32_t count, int16_t x[4][SQ_WIDE_K]) {
#pragma GCC unroll 4
    for (int i = 0; i < mr; i++) {
        int32_t k = 0;
        for (; k <= count - 16; k += 16)
            _mm256_store_si256((__m256i*)(void*)(x[i] + k),
                               _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i*)(const void*)(a[i] + k))));
        if (k < count) _mm256_store_si256((__m256i*)(void*)(x[i] + k), v256_widen_part(a[i] + k, count - k));
    }
}

SQ_INLINE __m256i v256_dot_wide(__m256i acc, __m256i x, __m256i w) {
    return _mm256_add_epi32(acc, _mm256_madd_epi16(x, w));
}

/* The sums of depth 0. */
SQ_INLINE void v256_multiply_wide(const sq_tile* t, const int mr, const int nv, __m256i acc[4][2]) {
    const sq_packed* p = t->packed;
    const int8_t* w = t->w;
    _Alignas(32) int16_t x[4][SQ_WIDE_K];
    for (int32_t tap = 0; tap < p->taps; tap++)
        for (int32_t k0 = 0, count; k0 < p->kc; k0 += count) {
            const uint8_t* a[4];
            count = p->kc - k0 < SQ_WIDE_K ? p->kc - k0 : SQ_WIDE_K;
#pragma GCC unroll 4
            for (int i = 0; i < mr; i++) a[i] = t->a[tap * t->a_stride + i] + t->a_offset + k0;
            v256_widen_rows(mr, a, count, x);
            for (int32_t k = 0; k < count; k += 2, w += 32 * nv) {
                const __m256i w0 = v256_weights(w), w1 = v256_weights(w + 32 * (nv - 1));
#pragma GCC unroll 4
                for (int i = 0; i < mr; i++) {
                    const __m256i two = v256_broadcast4((const uint8_t*)(x[i] + k));
                    acc[i][0] = v256_dot_wide(acc[i][0], two, w0);
                    if (nv == 2) acc[i][1] = v256_dot_wide(acc[i][1], two, w1);
                }
            }
        }
}

SQ_INLINE void v256_store_u8(uint8_t* to, __m128i v, int32_t n) {
    if (n == 16) {
        _mm_storeu_si128((__m128i*)(void*)to, v);
    } else if (n == 8) {
        _mm_storel_epi64((__m128i*)(void*)to, v);
    } else {
        uint8_t bytes[16];
        _mm_storeu_si128((__m128i*)(void*)bytes, v);
        memcpy(to, bytes, (size_t)n);
    }
}

SQ_INLINE void v256_requantize(const sq_tile* t, const int mr, const int nv, const int q31, __m256i acc[4][2]) {
    const sq_epilogue* ep = t->ep;
    const __m256i zero_point = _mm256_set1_epi16((short)ep->zero_point);
    const __m128i lo = _mm_set1_epi8((char)ep->lo), hi = _mm_set1_epi8((char)ep->hi);
    __m256 m[2];
#pragma GCC unroll 2
    for (int j = 0; j < nv && !q31; j++)
        m[j] = ep->per_column ? _mm256_maskload_ps(ep->multiplier + t->column + 8 * j, v256_mask(t, 8 * j))
                              : _mm256_set1_ps(ep->multiplier[0]);
#pragma GCC unroll 4
    for (int i = 0; i < mr; i++) {
        __m256i q[2];
#pragma GCC unroll 2
        for (int j = 0; j < 2; j++)
            q[j] = j >= nv ? _mm256_setzero_si256()
                   : q31   ? v256_q31(acc[i][j], ep)
                           : _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_cvtepi32_ps(acc[i][j]), m[j]));
        /* Saturating here changes nothing: what lies beyond int16 ends at 0 or 255 with any zero point. */
        __m256i v = _mm256_adds_epi16(_mm256_packs_epi32(q[0], q[1]), zero_point);
        v = _mm256_permute4x64_epi64(v, 0xD8);
        __m128i u = _mm_packus_epi16(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
        v256_store_u8((uint8_t*)t->c + i * t->ldc, _mm_min_epu8(_mm_max_epu8(u, lo), hi), t->n);
    }
}

SQ_INLINE void v256_subtract_row_sums(const sq_tile* t, const int mr, const int nv, __m256i acc[4][2]) {
#pragma GCC unroll 2
    for (int j = 0; j < nv; j++) {
        const __m256i zero_point = _mm256_maskload_epi32(t->zero_points + 8 * j, v256_mask(t, 8 * j));
#pragma GCC unroll 4
        for (int i = 0; i < mr; i++)
            acc[i][j] = _mm256_sub_epi32(acc[i][j], _mm256_mullo_epi32(_mm256_set1_epi32(t->row_sums[i]), zero_point));
    }
}

SQ_INLINE void v256_tile(const sq_tile* t, const int mr, const int nv, const int depth) {
    __m256i acc[4][2];
    const int uniform = t->row_sums && !t->zero_points;
#pragma GCC unroll 2
    for (int j = 0; j < nv; j++) {
        const __m256i bias = _mm256_maskload_epi32(t->ep->bias + t->column + 8 * j, v256_mask(t, 8 * j));
#pragma GCC unroll 4
        for (int i = 0; i < mr; i++)
            acc[i][j] = uniform ? _mm256_sub_epi32(bias, _mm256_set1_epi32(t->row_sums[i])) : bias;
    }
    if (depth == 0)
        v256_multiply_wide(t, mr, nv, acc);
    else
        v256_multiply(t, mr, nv, depth, acc);
    if (t->zero_points) v256_subtract_row_sums(t, mr, nv, acc);
    if (t->ep->kind == SQ_REQUANT_F32) {
        v256_requantize(t, mr, nv, 0, acc);
    } else if (t->ep->kind == SQ_REQUANT_Q31) {
        v256_requantize(t, mr, nv, 1, acc);
    } else {
        int32_t out[4 * 16];
#pragma GCC unroll 4
        for (int i = 0; i < mr; i++)
#pragma GCC unroll 2
            for (int j = 0; j < nv; j++) _mm256_storeu_si256((__m256i*)(void*)(out + i * 16 + 8 * j), acc[i][j]);
        sq_finish_tile(t, out, 16);
    }
}

#define SQ_TILE(mr, nv, depth) \
    static void v256_tile_##mr##x##nv##d##depth(const sq_tile* t) { v256_tile(t, mr, nv, depth); }
#define SQ_TILES(nv, d) SQ_TILE(1, nv, d) SQ_TILE(2, nv, d) SQ_TILE(3, nv, d) SQ_TILE(4, nv, d)
SQ_TILES(1, 0) SQ_TILES(2, 0) SQ_TILES(1, 1) SQ_TILES(2, 1) SQ_TILES(1, 2) SQ_TILES(2, 2)
#undef SQ_TILES
#undef SQ_TILE

static void sq_gemm_u8s8s32_4x16c4_avx2(const sq_tile* t) {
#define SQ_FOUR(nv, depth) \
    {v256_tile_1x##nv##d##depth, v256_tile_2x##nv##d##depth, v256_tile_3x##nv##d##depth, v256_tile_4x##nv##d##depth}
    static void (*const tiles[3][2][4])(const sq_tile*) = {{SQ_FOUR(1, 0), SQ_FOUR(2, 0)},
                                                           {SQ_FOUR(1, 1), SQ_FOUR(2, 1)},
                                                           {SQ_FOUR(1, 2), SQ_FOUR(2, 2)}};
#undef SQ_FOUR
    tiles[t->packed->depth][(t->n - 1) / 8][t->m - 1](t);
}

static void sq_gemm_u8s8s32_4x16c4_avx2_sum_rows(const uint8_t* const* a, int64_t a_stride, int64_t a_offset,
                                                 int32_t taps, int32_t kc, int32_t m, int32_t* sums) {
    for (int32_t i = 0; i < m; i++) {
        __m256i sum = _mm256_setzero_si256();
        uint32_t rest = 0;
        for (int32_t tap = 0; tap < taps; tap++) {
            const uint8_t* row = a[tap * a_stride + i] + a_offset;
            int32_t k = 0;
            for (; k <= kc - 32; k += 32)
                sum = _mm256_add_epi64(sum, _mm256_sad_epu8(_mm256_loadu_si256((const __m256i*)(const void*)(row + k)),
                                                            _mm256_setzero_si256()));
            for (; k < kc; k++) rest += row[k];
        }
        uint64_t parts[4];
        _mm256_storeu_si256((__m256i*)(void*)parts, sum);
        sums[i] = (int32_t)(uint32_t)(parts[0] + parts[1] + parts[2] + parts[3] + rest);
    }
}

/* Sums of the lanes of each vector: [a, b, c, d]. */
SQ_INLINE __m128i v256_quarter(__m256i a, __m256i b, __m256i c, __m256i d) {
    const __m256i ab = _mm256_add_epi32(_mm256_unpacklo_epi32(a, b), _mm256_unpackhi_epi32(a, b));
    const __m256i cd = _mm256_add_epi32(_mm256_unpacklo_epi32(c, d), _mm256_unpackhi_epi32(c, d));
    const __m256i all = _mm256_add_epi32(_mm256_unpacklo_epi64(ab, cd), _mm256_unpackhi_epi64(ab, cd));
    return _mm_add_epi32(_mm256_castsi256_si128(all), _mm256_extracti128_si256(all, 1));
}

SQ_INLINE __m256i v256_join(const __m128i q[2]) { return _mm256_inserti128_si256(_mm256_castsi128_si256(q[0]), q[1], 1); }

SQ_INLINE __m128i v256_to_bytes(__m256i v) {
    const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    return _mm_packus_epi16(words, words);
}

/* The first `count` of 8 values; more are not there. */
SQ_INLINE __m256i v256_first(const void* p, int32_t count) {
    return _mm256_maskload_epi32((const int*)p, _mm256_cmpgt_epi32(_mm256_set1_epi32(count),
                                                                   _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)));
}

/* Both operands are widened to 16 bits: vpmaddwd cannot saturate, and these sums wait for memory anyway. */
#define TH_NAME(x) v256_thin_##x
#define TH_V __m256i
#define TH_LANES 8
#define TH_STEP 16
#define TH_X(p) _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i*)(const void*)(p)))
#define TH_X_PART(p, count) v256_widen_part(p, count)
#define TH_W(p) _mm256_cvtepi8_epi16(_mm_load_si128((const __m128i*)(const void*)(p)))
#define TH_DOT(acc, x, w) v256_dot_wide(acc, x, w)
#define TH_ZERO() _mm256_setzero_si256()
#define TH_QUARTER v256_quarter
#define TH_JOIN v256_join
#define TH_LOAD(p) _mm256_loadu_si256((const __m256i*)(const void*)(p))
#define TH_STORE(p, v) _mm256_storeu_si256((__m256i*)(void*)(p), v)
#define TH_FIRST(p, count) v256_first(p, count)
#define TH_TAKE(v, places) _mm256_permutevar8x32_epi32(v, places)
#define TH_OP(x) _mm256_##x
#define TH_BYTES(v) v256_to_bytes(v)
#define TH_INTS(v) _mm256_castps_si256(v)
#define TH_FLOATS(v) _mm256_castsi256_ps(v)
#define TH_Q31 v256_q31
#include "thin.h"

static void sq_gemm_u8s8s32_8x4c16_avx2(const sq_tile* t) { v256_thin_tile_of(t); }
#define sq_gemm_u8s8s32_8x4c16_avx2_sum_rows sq_gemm_u8s8s32_4x16c4_avx2_sum_rows

SQ_TARGET_END

#endif
