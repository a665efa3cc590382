/* Sums of int8 arrays with quantization parameters.
 *
 * Items are output elements. y may be one of the inputs (same address, same shape); else arrays do not overlap.
 * s = scale, z = zero point, q = stored byte, rne = round half to even, f32() = rounded to single precision.
 *
 *   add_u8_fast    Server set, two Int8 inputs of one shape. Whole blocks of 32 elements from the start of the array:
 *                    o = fma(-za, sa, f32(-(zb * sb)));  t = fma(qb, sb, fma(qa, sa, o))
 *                    y = rne(clamp(fma(t, f32(1/sy), zy), lo, 255))
 *                  the n % 32 elements behind them:
 *                    t = fma(qb - zb, sb, f32((qa - za) * sa));  y = rne(clamp(f32(zy + f32(t/sy)), lo, 255))
 *                  Ranges may begin anywhere: an element's formula depends on its place in the whole array alone.
 *   sum_u8_slow    Server set, any number of inputs, each Int8 or float, through intermediate parameters si, zi of
 *                  `bits` bits. Int8: clamp(rne(f32((q-z) * f32(s/si))) + zi, 0, 2^bits - 1). float:
 *                  clamp(rne(f32(f32(x * f32(1/si)) + zi)), float_lo, float_hi), NaN gives 0, or INT32_MIN when
 *                  float_lo < 0. acc = their sum - count * zi, wrapping;
 *                  y = clamp(rne(f32(acc * f32(si/sy))) + zy, lo, 255).
 *   add_u8_mobile  Mobile set: acc = qa*ma + qb*mb + bias in int32;
 *                  y = clamp((acc >> shift) + (((acc & mask) - (acc < 0)) > mask >> 1) + zy, lo, 255),
 *                  mask = 2^shift - 1.
 */
#ifndef SERVERQUANT_ELTWISE_H
#define SERVERQUANT_ELTWISE_H

#include <stdint.h>

#include "serverquant/rows.h"

typedef struct {
    const uint8_t* a;
    const uint8_t* b;
    uint8_t* y;
    long long n;       /* elements of the whole array */
    float a_scale, b_scale, y_scale;
    int32_t a_zero_point, b_zero_point, y_zero_point;
    int32_t lo;        /* 0; y_zero_point for a fused Relu */
    float offset, inverse; /* by sq_add_fast_prepare() */
} sq_add_u8_job;

typedef struct {
    const void* data;  /* uint8_t or float */
    int is_float;
    float scale;       /* of an Int8 input; a float input has none */
    int32_t zero_point;
    /* Old-style broadcast: output element i takes input element (i / post) % mid. mid = 0: element i. */
    long long mid, post;
} sq_slow_input;

typedef struct {
    const sq_slow_input* inputs;
    int count;
    uint8_t* y;
    float mid_scale, y_scale;
    int32_t mid_zero_point, y_zero_point;
    int32_t bits, float_lo, float_hi;
    int32_t lo;        /* 0; y_zero_point for a fused Relu */
} sq_sum_slow_job;

typedef struct {
    const uint8_t* a;
    const uint8_t* b;
    uint8_t* y;
    int32_t a_multiplier, b_multiplier, bias, shift; /* 0 <= shift <= 31 */
    int32_t y_zero_point, lo;
} sq_add_mobile_job;

/* What follows from scales and zero points: o and f32(1/sy). */
void sq_add_fast_prepare(sq_add_u8_job* job);

/* Fills multipliers, bias and shift. Returns -1 when a scale ratio lies outside [2^-14, 2^8). */
int sq_add_mobile_prepare(sq_add_mobile_job* job, float a_scale, int32_t a_zero_point, float b_scale,
                          int32_t b_zero_point, float y_scale);

extern const sq_row sq_eltwise_rows[];
extern const int sq_eltwise_row_count;

#endif
