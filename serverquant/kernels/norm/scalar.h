/* The definitions, one element at a time. */
#ifndef SERVERQUANT_NORM_SCALAR_H
#define SERVERQUANT_NORM_SCALAR_H

#include <math.h>

#include "../softmax/scalar.h"
#include "serverquant/rows.h"

SQ_INLINE float sq_affine(float x, float alpha, float beta) {
    float product = x * alpha;
    return product + beta;
}

/* ln x for normal x > 0, within 2 units in the last place: x = 2^e m, m in [0.707, 1.414), ln m = f - f^2/2 + f^3 p(f)
 * with f = m - 1. */
SQ_INLINE float sq_log(float x) {
    union { float value; int32_t bits; } u = {x};
    const int32_t e = (u.bits - 0x3f3504f3) >> 23;
    u.bits -= (int32_t)((uint32_t)e << 23);
    const float f = u.value - 1.0f, n = (float)e;
    float p = 7.0376836292e-2f;
    p = fmaf(p, f, -1.1514610310e-1f);
    p = fmaf(p, f, 1.1676998740e-1f);
    p = fmaf(p, f, -1.2420140846e-1f);
    p = fmaf(p, f, 1.4249322787e-1f);
    p = fmaf(p, f, -1.6668057665e-1f);
    p = fmaf(p, f, 2.0000714765e-1f);
    p = fmaf(p, f, -2.4999993993e-1f);
    p = fmaf(p, f, 3.3333331174e-1f);
    const float square = f * f;
    float r = fmaf(p * f, square, n * -2.12194440e-4f);
    r = fmaf(-0.5f, square, r);
    return fmaf(n, 0.693359375f, r + f);
}

/* s^-beta. 3/4, 1/2 and 1, which nets have, take roots; a base that is not positive gives NaN, or infinity for 0. */
SQ_INLINE float sq_negative_power(float s, float beta) {
    if (beta == 0.75f) return 1.0f / (sqrtf(s) * sqrtf(sqrtf(s)));
    if (beta == 0.5f) return 1.0f / sqrtf(s);
    if (beta == 1.0f) return 1.0f / s;
    const float power = sq_exp(-beta * sq_log(s < 1.17549435e-38f ? 1.17549435e-38f : s));
    return s > 0.0f ? power : s == 0.0f ? INFINITY : NAN;
}

/* fmaf(x, f32(x * factor), sum): one more channel of a window. */
SQ_INLINE float sq_add_square(float sum, float x, float factor) { return fmaf(x, x * factor, sum); }

#endif
