/* The definition of every conversion, one element at a time. */
#ifndef SERVERQUANT_QUANTIZE_SCALAR_H
#define SERVERQUANT_QUANTIZE_SCALAR_H

#include <math.h>
#include <stdint.h>

#include "serverquant/rows.h"

/* Both comparisons are false for NaN, which therefore becomes hi. lo and hi are whole, so clamping first is the same. */
SQ_INLINE int32_t sq_quantize_8bit(float x, float inverse, float zero_point, float lo, float hi) {
    float t = fmaf(x, inverse, zero_point);
    t = t < hi ? t : hi;
    t = t > lo ? t : lo;
    return (int32_t)rintf(t);
}

/* lo <= 0 <= hi, both exact in float. */
SQ_INLINE int32_t sq_quantize_wide(float x, float inverse, float zero_point, float lo, float hi) {
    float t = x * inverse;
    t = t + zero_point;
    t = t == t ? t : 0.0f;
    t = t < hi ? t : hi;
    t = t > lo ? t : lo;
    return (int32_t)rintf(t);
}

/* The x86 conversion: what does not fit becomes INT32_MIN. */
SQ_INLINE int32_t sq_round_or_min(float t) {
    float inside = t >= -2147483648.0f && t < 2147483648.0f ? t : -2147483648.0f;
    return (int32_t)rintf(inside);
}

/* hi = 2^31 - 1 becomes 2^31 in float, which the clamp lets through: it and NaN end as INT32_MIN, as in Caffe2. */
SQ_INLINE int32_t sq_quantize_s32(float x, float inverse, float zero_point, float lo, float hi) {
    float t = x * inverse;
    t = t + zero_point;
    t = t > hi ? hi : t;
    t = t < lo ? lo : t;
    return sq_round_or_min(t);
}

/* Clamped before the zero point is added, so that the sum fits. */
SQ_INLINE int32_t sq_shift_clamp(int32_t q, int32_t zero_point, int32_t lo, int32_t hi) {
    q = q < lo - zero_point ? lo - zero_point : q;
    q = q > hi - zero_point ? hi - zero_point : q;
    return q + zero_point;
}

SQ_INLINE int32_t sq_quantize_mobile(float x, float scale, int32_t zero_point) {
    return sq_shift_clamp(sq_round_or_min(x / scale), zero_point, 0, 255);
}

SQ_INLINE float sq_dequantize(int32_t q, float scale, int32_t zero_point) {
    return scale * (float)(int32_t)((uint32_t)q - (uint32_t)zero_point);
}

SQ_INLINE int32_t sq_requantize(int32_t acc, float multiplier, int32_t zero_point, int32_t lo, int32_t hi) {
    return sq_shift_clamp(sq_round_or_min((float)acc * multiplier), zero_point, lo, hi);
}

#endif
