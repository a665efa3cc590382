/* The definition: every other row gives these bytes. Weights: int16 [taps][16], zero points subtracted. */
#ifndef SERVERQUANT_DWCONV_SCALAR_H
#define SERVERQUANT_DWCONV_SCALAR_H

#include <string.h>

#include "../gemm/epilogue.h"
#include "dwconv.h"

static int64_t sq_dwconv_u8s16s32_16c1_scalar_block_bytes(int32_t taps) { return (int64_t)taps * 32; }

static void sq_dwconv_u8s16s32_16c1_scalar_pack(const int8_t* weights, const int32_t* zero_points, int32_t taps,
                                                int32_t c0, int32_t n, int8_t* out) {
    int16_t* to = (int16_t*)(void*)out;
    memset(out, 0, (size_t)taps * 32);
    for (int32_t tap = 0; tap < taps; tap++)
        for (int32_t c = 0; c < n; c++)
            to[tap * 16 + c] = (int16_t)(weights[(int64_t)(c0 + c) * taps + tap] - zero_points[c0 + c]);
}

static void sq_dwconv_u8s16s32_16c1_scalar(const sq_dw_tile* t) {
    const int16_t* w = (const int16_t*)(const void*)t->w;
    for (int32_t i = 0; i < t->pixels; i++) {
        int32_t acc[16];
        for (int32_t c = 0; c < t->n; c++) acc[c] = t->ep->bias[t->column + c];
        for (int32_t tap = 0; tap < t->taps; tap++) {
            const uint8_t* a = t->a[tap * t->a_stride + i] + t->offset;
            for (int32_t c = 0; c < t->n; c++) acc[c] = sq_wrap_add(acc[c], a[c] * w[tap * 16 + c]);
        }
        for (int32_t c = 0; c < t->n; c++) sq_finish_one(t->ep, acc[c], t->column + c, t->c, i * t->ldc + c);
    }
}

#endif
