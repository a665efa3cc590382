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

#define DW_NAME(x) dw512_##x
#define DW_VEC __m512i
#define DW_MASK __mmask64
#define DW_OP(x) _mm512_##x
#define DW_CHANNELS 64
#define DW_LOADU(p) _mm512_loadu_si512((const void*)(p))
#define DW_STOREU(p, v) _mm512_storeu_si512((void*)(p), v)
#define DW_ZERO() _mm512_setzero_si512()
#define DW_Q31 v512_q31
#include "vnni.h"

/* Blocks of at most 32 channels: half as wide, twice as fast. */
#define DW_NAME(x) dw256vnni_##x
#define DW_VEC __m256i
#define DW_MASK __mmask32
#define DW_OP(x) _mm256_##x
#define DW_CHANNELS 32
#define DW_LOADU(p) _mm256_loadu_si256((const __m256i*)(const void*)(p))
#define DW_STOREU(p, v) _mm256_storeu_si256((__m256i*)(void*)(p), v)
#define DW_ZERO() _mm256_setzero_si256()
#define DW_Q31 v256_q31
#include "vnni.h"

static void sq_dwconv_u8s8s32_64c4_avx512vnni(const sq_dw_tile* t) {
    static void (*const runs[2][2][2])(const sq_dw_tile*) = {
        {{dw256vnni_part, dw256vnni_part_sums}, {dw256vnni_full, dw256vnni_full_sums}},
        {{dw512_part, dw512_part_sums}, {dw512_full, dw512_full_sums}}};
    int wide = t->n > 32;
    runs[wide][t->n == (wide ? 64 : 32)][t->zero_points != NULL](t);
}

SQ_TARGET_END

#endif
