/* The definition: every other row gives these bytes. */
#ifndef SERVERQUANT_GEMM_SCALAR_H
#define SERVERQUANT_GEMM_SCALAR_H

#include "epilogue.h"

static void sq_gemm_u8s8s32_2x16c1_scalar(const sq_tile* t) {
    const sq_packed* p = t->packed;
    int32_t acc[2 * 16] = {0};
    for (int32_t i = 0; i < t->m; i++) {
        const int8_t* w = t->w;
        for (int32_t tap = 0; tap < p->taps; tap++) {
            const uint8_t* a = t->a[tap * t->a_stride + i] + t->a_offset;
            for (int32_t k = 0; k < p->kc; k++, w += 16)
                for (int32_t j = 0; j < 16; j++) acc[i * 16 + j] = sq_wrap_add(acc[i * 16 + j], a[k] * w[j]);
        }
        for (int32_t j = 0; j < t->n; j++) {
            int32_t start = t->ep->bias[t->column + j];
            if (t->row_sums)
                start = sq_wrap_add(start, sq_wrap_mul(t->row_sums[i], t->zero_points ? -t->zero_points[j] : -1));
            acc[i * 16 + j] = sq_wrap_add(acc[i * 16 + j], start);
        }
    }
    sq_finish_tile(t, acc, 16);
}

static void sq_gemm_u8s8s32_2x16c1_scalar_sum_rows(const uint8_t* const* a, int64_t a_stride, int64_t a_offset,
                                                   int32_t taps, int32_t kc, int32_t m, int32_t* sums) {
    for (int32_t i = 0; i < m; i++) {
        uint32_t sum = 0;
        for (int32_t tap = 0; tap < taps; tap++) {
            const uint8_t* row = a[tap * a_stride + i] + a_offset;
            for (int32_t k = 0; k < kc; k++) sum += row[k];
        }
        sums[i] = (int32_t)sum;
    }
}

#endif
