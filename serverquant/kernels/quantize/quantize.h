/* Float <-> integer conversions, and the range of a float array.
 *
 * Items are elements, unless said. Arrays need no alignment and do not overlap; nothing is read or written outside
 * them. s = scale, z = zero point, rne = round half to even, f32() = rounded to single precision.
 *
 *   quantize_u8, _s8         clamp(rne(fma(x, f32(1/s), z)), lo, hi): the zero point is added before rounding, in one
 *                            fused operation. NaN and too large give hi, too small gives lo.
 *   quantize_wide_u8, _s8,   clamp(rne(f32(f32(x * f32(1/s)) + z)), lo, hi): two roundings, for other widths than 8
 *     _u16, _s16, _s32       bits. NaN gives 0. _s32: NaN and what is still beyond int32 give INT32_MIN.
 *   quantize_mobile_u8       clamp(z + rne(f32(x / s)), 0, 255); NaN and quotients beyond int32 give 0.
 *   dequantize_u8, _u16, _s32  f32(s * f32(q - z))
 *   requantize_u8            clamp(rne(f32(f32(acc) * m)) + z, lo, hi): the zero point is added after rounding.
 *                            Products beyond int32 and NaN give lo.
 *   requantize_q31_u8        the mobile set's: clamp(sq_q31(acc, q31_multiplier, q31_shift) + z, lo, hi), see gemm/epilogue.h
 *   min_max                  item t of `parts` looks at elements n*t/parts .. n*(t+1)/parts. NaN is passed over; the
 *                            caller sees to x[0] being none.
 */
#ifndef SERVERQUANT_QUANTIZE_H
#define SERVERQUANT_QUANTIZE_H

#include <stdint.h>

#include "serverquant/rows.h"

typedef struct {
    const float* x;
    void* y;           /* the type that the op is named for */
    float scale;
    int32_t zero_point;
    int32_t lo, hi;    /* within the type; read by the rows that clamp to them */
} sq_quantize_job;

typedef struct {
    const void* x;     /* the type that the op is named for */
    float* y;
    float scale;
    int32_t zero_point;
} sq_dequantize_job;

typedef struct {
    const int32_t* x;
    uint8_t* y;
    float multiplier;
    int32_t zero_point;
    int32_t lo, hi;    /* 0 <= lo <= hi <= 255 */
    int32_t q31_multiplier, q31_shift;
} sq_requantize_job;

enum { SQ_MIN_MAX_PARTS = 64 };

typedef struct {
    const float* x;
    long long n;       /* > 0 */
    int parts;         /* 1..SQ_MIN_MAX_PARTS */
    float* lo;         /* [parts] */
    float* hi;         /* [parts] */
} sq_min_max_job;

extern const sq_row sq_quantize_rows[];
extern const int sq_quantize_row_count;

#endif
