/* The definitions that need more than a line of maps.inc, one element at a time. */
#ifndef SERVERQUANT_UNARY_SCALAR_H
#define SERVERQUANT_UNARY_SCALAR_H

#include <math.h>
#include <stdint.h>

#include "serverquant/bounds.h"
#include "serverquant/elementary.h"
#include "serverquant/rows.h"

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
