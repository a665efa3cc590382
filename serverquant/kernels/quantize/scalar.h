/* The definition of every conversion, one element at a time. */
#ifndef SERVERQUANT_QUANTIZE_SCALAR_H
#define SERVERQUANT_QUANTIZE_SCALAR_H

#include <math.h>
#include <stdint.h>

#include "serverquant/convert.h"
#include "serverquant/rows.h"

/* Both comparisons are false for NaN, which becomes hi. lo and hi are whole: clamping before rounding is the same. */
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

/* hi = 2^31 - 1 becomes 2^31 in float, which the clamp lets through: it and NaN end as INT32_MIN, as in Caffe2. */
SQ_INLINE int32_t sq_quantize_s32(float x, float inverse, float zero_point, float lo, float hi) {
    float t = x * inverse;
    t = t + zero_point;
    t = t > hi ? hi : t;
    t = t < lo ? lo : t;
    return sq_round_or_min(t);
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
