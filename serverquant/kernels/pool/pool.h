/* Max and average pools in 1 to 3 dimensions, float and u8, NCHW and NHWC.
 *
 * A window is clipped to the image; n = elements inside; sums are taken row-major. Formulas, one rounding per f32():
 *   max f32       acc = -FLT_MAX; acc = x > acc ? x : acc         (so NaN never wins)
 *   average f32   f32(sum * f32(1 / n)), sum one addition after the other from +0; n = the full kernel if include_pad
 *   max u8        max(low, max of x)
 *   average u8    acc = sum of x - x_zero * n, exact
 *     server NHWC   clamp(rne(fma(acc, m, y_zero))),        m = f32(ratio / n)
 *     server NCHW   clamp(rne(f32(f32(acc * m) + y_zero)))
 *     mobile        clamp(sign(acc) * ((|acc| * multiplier + 2^(shift-1)) >> shift) + y_zero)
 * with clamp to [low, 255]; the clamp comes before rne, which changes nothing but for values beyond int32.
 *
 * Same bytes on every instruction set and for every team. x is read up to 64 bytes past its end.
 */
#ifndef SERVERQUANT_POOL_H
#define SERVERQUANT_POOL_H

#include "serverquant/window.h"

enum { SQ_MAX_F32, SQ_AVERAGE_F32, SQ_MAX_U8, SQ_AVERAGE_U8, SQ_AVERAGE_MOBILE_U8 };

typedef struct sq_pool_row {
    const char* name;
    int32_t isa;
    int32_t lanes;      /* floats of a vector */
    int32_t byte_lanes; /* bytes of a vector */
    /* out[i] = over t: x[t][i], 0 <= i < length. Reads whole vectors; writes `length` elements. */
    void (*max_f32)(const float* const* x, int64_t taps, int64_t length, float* out);
    void (*sum_f32)(const float* const* x, int64_t taps, int64_t length, float scale, float* out);
    void (*max_u8)(const uint8_t* const* x, int64_t taps, int64_t length, int32_t low, uint8_t* out);
    void (*sum_u8)(const uint8_t* const* x, int64_t taps, int64_t length, int32_t* out);
    /* out[i] = sums[i] * scale[i] */
    void (*scale_f32)(const float* sums, const float* scale, int64_t length, float* out);
    /* out[i] = round(sums[i] - offset[step * i], scale[step * i]) by the server's formula; fused: that of NHWC. */
    void (*round_u8)(const int32_t* sums, const int32_t* offset, const float* scale, int64_t step, int64_t length,
                     int32_t fused, int32_t y_zero, int32_t low, uint8_t* out);
} sq_pool_row;

typedef struct sq_pool {
    sq_window window; /* all dilations 1; an image one pixel wide is taken as a line */
    int64_t whole;    /* elements of the full kernel */
    int64_t batch, channels;
    int32_t nhwc;
    const sq_pool_row* row;
} sq_pool;

typedef struct sq_pool_job {
    const sq_pool* pool;
    int32_t kind;
    int32_t include_pad;        /* SQ_AVERAGE_F32 */
    int32_t low;                /* u8: smallest value that comes out */
    int32_t x_zero, y_zero;     /* averages of u8 */
    float ratio;                /* SQ_AVERAGE_U8: f32(x_scale / y_scale) */
    int32_t multiplier, shift;  /* SQ_AVERAGE_MOBILE_U8 */
    const void* x;
    void* y;
    char* scratch;              /* sq_pool_scratch() bytes, aligned to 64 */
    int64_t team;
} sq_pool_job;

int sq_pool_rows(void);
const sq_pool_row* sq_pool_row_at(int index);
/* Enough for every kind of pool. */
int64_t sq_pool_scratch(const sq_pool* pool, int64_t team);
/* Shares begin..end of `team`. */
void sq_pool_range(const void* job, long long begin, long long end);

#endif
