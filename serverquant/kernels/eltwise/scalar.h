/* The definitions, one element at a time. */
#ifndef SERVERQUANT_ELTWISE_SCALAR_H
#define SERVERQUANT_ELTWISE_SCALAR_H

#include <math.h>
#include <stdint.h>

#include "serverquant/convert.h"
#include "serverquant/rows.h"

/* Elements that share one vector step in Caffe2; what is left over takes another formula there. */
enum { SQ_FAST_BLOCK = 32 };

SQ_INLINE uint8_t sq_round_between(float t, float lo, float hi) {
    t = t > lo ? t : lo;
    t = t < hi ? t : hi;
    return (uint8_t)(int32_t)rintf(t);
}

SQ_INLINE float sq_fast_offset(float a_scale, float a_zero_point, float b_scale, float b_zero_point) {
    float b_part = b_zero_point * b_scale;
    return fmaf(-a_zero_point, a_scale, -b_part);
}

SQ_INLINE uint8_t sq_add_fast_body(uint8_t a, uint8_t b, float a_scale, float b_scale, float offset, float inverse,
                                   float y_zero_point, float lo) {
    float t = fmaf((float)(int32_t)b, b_scale, fmaf((float)(int32_t)a, a_scale, offset));
    return sq_round_between(fmaf(t, inverse, y_zero_point), lo, 255.0f);
}

/* a and b less their zero points. */
SQ_INLINE uint8_t sq_add_fast_tail(int32_t a, int32_t b, float a_scale, float b_scale, float y_scale,
                                   float y_zero_point, float lo) {
    float a_part = (float)a * a_scale;
    float t = fmaf((float)b, b_scale, a_part) / y_scale;
    return sq_round_between(y_zero_point + t, lo, 255.0f);
}

SQ_INLINE int32_t sq_slow_from_u8(uint8_t q, int32_t zero_point, float multiplier, int32_t mid_zero_point, int32_t hi) {
    float t = (float)((int32_t)q - zero_point) * multiplier;
    return sq_shift_clamp(sq_round_or_min(t), mid_zero_point, 0, hi);
}

/* NaN becomes `nan`: 0 where Caffe2 converts to an unsigned type, INT32_MIN where to int32. */
SQ_INLINE int32_t sq_slow_from_float(float x, float inverse, float mid_zero_point, float lo, float hi, int32_t nan) {
    float t = x * inverse;
    t = t + mid_zero_point;
    const int is_nan = t != t;
    t = t > lo ? t : lo;
    t = t < hi ? t : hi;
    return is_nan ? nan : (int32_t)rintf(t);
}

SQ_INLINE uint8_t sq_add_mobile(uint8_t a, uint8_t b, int32_t a_multiplier, int32_t b_multiplier, int32_t bias,
                                int32_t shift, int32_t y_zero_point, int32_t lo) {
    int32_t mask = (int32_t)((1u << shift) - 1);
    int32_t acc = bias + (int32_t)a * a_multiplier + (int32_t)b * b_multiplier;
    int32_t up = (acc & mask) - (acc < 0) > mask >> 1;
    int32_t q = (acc >> shift) + up + y_zero_point;
    return (uint8_t)(q < lo ? lo : q > 255 ? 255 : q);
}

#endif
