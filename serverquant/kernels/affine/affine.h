/* Products and channel-wise linear maps of bytes. Items are elements; y may be an input. rne = round half to even.
 *
 *   mul_u8     y = clamp(rne(f32(float((a - za) * (b - zb)) * multiplier)) + z, lo, hi)
 *   linear_u8  the same of (a - za) * (b - zb) + bias, modulo 2^32
 *     element i of a meets element i / inner % channels of b (and bias)
 *   norm_u8    y = clamp(rne(fma(alpha[c], float(a - za), beta[c])) + z, lo, hi), c as above
 */
#ifndef SERVERQUANT_AFFINE_H
#define SERVERQUANT_AFFINE_H

#include <stdint.h>

#include "serverquant/rows.h"

typedef struct {
    const uint8_t* a;
    const uint8_t* b;          /* [channels] */
    const int32_t* bias;       /* [channels]; linear_u8 */
    const float* alpha;        /* [channels]; norm_u8 */
    const float* beta;
    uint8_t* y;
    long long channels, inner; /* > 0 */
    int32_t a_zero_point, b_zero_point, zero_point, lo, hi;
    float multiplier;
} sq_affine_job;

extern const sq_row sq_affine_rows[];
extern const int sq_affine_row_count;

#endif
