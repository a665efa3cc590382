/* The definition of the exponential. */
#ifndef SERVERQUANT_SOFTMAX_SCALAR_H
#define SERVERQUANT_SOFTMAX_SCALAR_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "serverquant/rows.h"

/* 2^n for -126 <= n <= 127. */
SQ_INLINE float sq_power_of_two(int32_t n) {
    union { uint32_t bits; float value; } u = {(uint32_t)(n + 127) << 23};
    return u.value;
}

/* e^x within 1 unit in the last place (2 where the result is subnormal); 0 below -104, inf above 89, NaN stays.
 *
 * x = n ln2 + r with n = rne(x / ln2), |r| <= 0.3471: ln2 in two parts, the first of so few bits that n times it is
 * exact. e^r = 1 + r + r^2 q(r), q of degree 4 with the smallest largest relative error on that range (2^-28). 2^n in
 * two factors, so that the ends of the range (n = 128, and subnormal results) need no branch.
 */
SQ_INLINE float sq_exp(float x) {
    x = x < -104.0f ? -104.0f : x;
    x = x > 89.0f ? 89.0f : x;
    const float n = rintf(x * 1.44269504f);
    float r = fmaf(n, -0.693359375f, x);
    r = fmaf(n, 2.12194440e-4f, r);
    float p = 0x1.6a22aap-10f;
    p = fmaf(p, r, 0x1.123adp-7f);
    p = fmaf(p, r, 0x1.5558f8p-5f);
    p = fmaf(p, r, 0x1.55549p-3f);
    p = fmaf(p, r, 0x1.fffffcp-2f);
    p = fmaf(p, r, 1.0f);
    p = fmaf(p, r, 1.0f);
    const int32_t whole = (int32_t)(x == x ? n : 0.0f);
    const int32_t half = whole >> 1;
    return p * sq_power_of_two(half) * sq_power_of_two(whole - half);
}

#endif
