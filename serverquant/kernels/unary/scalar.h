/* The definitions that need more than a line of maps.inc, one element at a time. */
#ifndef SERVERQUANT_UNARY_SCALAR_H
#define SERVERQUANT_UNARY_SCALAR_H

#include <math.h>
#include <stdint.h>

#include "serverquant/elementary.h"
#include "serverquant/rows.h"

SQ_INLINE float sq_clip(float x, float lo, float hi) {
    x = x < lo ? lo : x;
    return x > hi ? hi : x;
}

SQ_INLINE float sq_logit(float x, float eps) {
    x = sq_clip(x, eps, 1.0f - eps);
    return sq_log(x / (1.0f - x));
}

/* x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) */
SQ_INLINE float sq_fast_gelu(float x) {
    const float inner = fmaf(x * x * x, 0.044715f, x) * 0x1.988454p-1f;
    return 0.5f * x * (1.0f + sq_tanh(inner));
}

SQ_INLINE int64_t sq_mod(int64_t x, int64_t n, int32_t sign_of_n) {
    const int64_t rest = n == -1 ? 0 : x % n;
    return sign_of_n && rest != 0 && (rest < 0) != (n < 0) ? rest + n : rest;
}

/* Half precision, rounded half to even; NaN stays one, too large becomes infinite. */
SQ_INLINE uint16_t sq_half_of(float x) {
    union { float value; uint32_t bits; } u = {x}, tiny;
    const uint32_t sign = u.bits >> 16 & 0x8000, a = u.bits & 0x7FFFFFFF;
    const uint32_t odd = a >> 13 & 1;
    const uint32_t normal = (a + 0xFFF + odd - (112u << 23)) >> 13; /* a carry goes up to infinity */
    /* Below 2^-14 the float addition rounds to multiples of 2^-24. */
    u.bits = a < 0x38800000 ? a : 0;
    tiny.value = u.value + 0.5f;
    const uint32_t subnormal = tiny.bits - 0x3F000000;
    const uint32_t finite = a < 0x38800000 ? subnormal : normal;
    const uint32_t special = a > 0x7F800000 ? 0x7E00 | (a >> 13 & 0x3FF) : 0x7C00;
    return (uint16_t)(sign | (a < 0x477FF000 ? finite : special));
}

SQ_INLINE float sq_float_of_half(uint16_t h) {
    union { uint32_t bits; float value; } u;
    const uint32_t exponent = h & 0x7C00, mantissa = h & 0x3FF;
    /* Biases are 15 and 127; the largest exponent stays the largest. A NaN becomes a quiet one. */
    const uint32_t normal = ((uint32_t)(h & 0x7FFF) << 13) + (exponent == 0x7C00 ? 224u << 23 : 112u << 23);
    u.value = (float)(int32_t)mantissa * 0x1p-24f;
    u.bits = exponent == 0 ? u.bits : normal;
    u.bits |= (exponent == 0x7C00 && mantissa != 0 ? 0x400000u : 0u) | (uint32_t)(h & 0x8000) << 16;
    return u.value;
}

/* ---- conversions: towards zero; what does not fit becomes the lowest number, as x86 has it; then the low bits -------- */

typedef float sq_t_f32;
typedef double sq_t_f64;
typedef int32_t sq_t_i32;
typedef int64_t sq_t_i64;
typedef int16_t sq_t_i16;
typedef int8_t sq_t_i8;
typedef uint16_t sq_t_u16;
typedef uint8_t sq_t_u8;
typedef uint8_t sq_t_b8;

SQ_INLINE int32_t sq_whole_i32(double x) { return x > -2147483649.0 && x < 2147483648.0 ? (int32_t)x : INT32_MIN; }
SQ_INLINE int64_t sq_whole_i64(double x) { return x >= -0x1p63 && x < 0x1p63 ? (int64_t)x : INT64_MIN; }

/* From a floating type, and from an integer type (or bool). */
#define SQ_REAL_TO_f32(x) ((float)(x))
#define SQ_REAL_TO_f64(x) ((double)(x))
#define SQ_REAL_TO_i32(x) sq_whole_i32((double)(x))
#define SQ_REAL_TO_i64(x) sq_whole_i64((double)(x))
#define SQ_REAL_TO_i16(x) ((int16_t)sq_whole_i32((double)(x)))
#define SQ_REAL_TO_i8(x) ((int8_t)sq_whole_i32((double)(x)))
#define SQ_REAL_TO_u16(x) ((uint16_t)sq_whole_i32((double)(x)))
#define SQ_REAL_TO_u8(x) ((uint8_t)sq_whole_i32((double)(x)))
#define SQ_REAL_TO_b8(x) ((x) != 0)
#define SQ_FROM_f32(to, x) SQ_REAL_TO_##to(x)
#define SQ_FROM_f64(to, x) SQ_REAL_TO_##to(x)

#define SQ_WHOLE_TO_b8(x) ((x) != 0)
#define SQ_WHOLE_TO_f32(x) ((float)(x))
#define SQ_WHOLE_TO_f64(x) ((double)(x))
#define SQ_WHOLE_TO_i32(x) ((int32_t)(x))
#define SQ_WHOLE_TO_i64(x) ((int64_t)(x))
#define SQ_WHOLE_TO_i16(x) ((int16_t)(x))
#define SQ_WHOLE_TO_i8(x) ((int8_t)(x))
#define SQ_WHOLE_TO_u16(x) ((uint16_t)(x))
#define SQ_WHOLE_TO_u8(x) ((uint8_t)(x))
#define SQ_FROM_i32(to, x) SQ_WHOLE_TO_##to(x)
#define SQ_FROM_i64(to, x) SQ_WHOLE_TO_##to(x)
#define SQ_FROM_i16(to, x) SQ_WHOLE_TO_##to(x)
#define SQ_FROM_i8(to, x) SQ_WHOLE_TO_##to(x)
#define SQ_FROM_u16(to, x) SQ_WHOLE_TO_##to(x)
#define SQ_FROM_u8(to, x) SQ_WHOLE_TO_##to(x)
#define SQ_FROM_b8(to, x) SQ_WHOLE_TO_##to(x)

#endif
