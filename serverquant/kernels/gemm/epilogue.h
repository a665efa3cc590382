/* From sums to outputs, in plain C: what every instruction set's own version must equal. */
#ifndef SERVERQUANT_GEMM_EPILOGUE_H
#define SERVERQUANT_GEMM_EPILOGUE_H

#include <math.h>

#include "gemm.h"
#include "serverquant/convert.h"

static inline int32_t sq_wrap_add(int32_t a, int32_t b) { return (int32_t)((uint32_t)a + (uint32_t)b); }
static inline int32_t sq_wrap_mul(int32_t a, int32_t b) { return (int32_t)((uint32_t)a * (uint32_t)b); }
static inline int32_t sq_clamp(int32_t v, int32_t lo, int32_t hi) { return v < lo ? lo : v > hi ? hi : v; }

/* acc * multiplier * 2^-31-shift: half up at 31 bits, then half away from zero. */
static inline int32_t sq_q31(int32_t acc, int32_t multiplier, int32_t shift) {
    int32_t p = (int32_t)(((int64_t)acc * multiplier + (1 << 30)) >> 31);
    int32_t mask = (int32_t)((1u << shift) - 1u);
    int32_t remainder = (p & mask) - (acc < 0);
    return (p >> shift) + (remainder > (mask >> 1));
}

static inline void sq_finish_one(const sq_epilogue* ep, int32_t acc, int64_t column, void* c, int64_t at) {
    float m;
    switch (ep->kind) {
    case SQ_REQUANT_F32:
        m = ep->multiplier[ep->per_column ? column : 0];
        ((uint8_t*)c)[at] = (uint8_t)sq_shift_clamp(sq_round_or_min((float)acc * m), ep->zero_point, ep->lo, ep->hi);
        break;
    case SQ_REQUANT_Q31:
        ((uint8_t*)c)[at] = (uint8_t)sq_shift_clamp(sq_q31(acc, ep->q31_multiplier, ep->q31_shift), ep->zero_point,
                                                    ep->lo, ep->hi);
        break;
    case SQ_RAW_S32:
        ((int32_t*)c)[at] = acc;
        break;
    default:
        m = fmaf((float)acc, ep->multiplier[ep->per_column ? column : 0], ep->bias_f32 ? ep->bias_f32[column] : 0.0f);
        ((float*)c)[at] = ep->relu && m < 0.0f ? 0.0f : m;
    }
}

/* acc[i * stride + j]: the finished sum of row i, column j of the tile. */
static void sq_finish_tile(const sq_tile* t, const int32_t* acc, int32_t stride) {
    for (int32_t i = 0; i < t->m; i++)
        for (int32_t j = 0; j < t->n; j++)
            sq_finish_one(t->ep, acc[i * stride + j], t->column + j, t->c, i * t->ldc + j);
}

#endif
