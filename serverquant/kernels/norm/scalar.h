/* The definitions, one element at a time. */
#ifndef SERVERQUANT_NORM_SCALAR_H
#define SERVERQUANT_NORM_SCALAR_H

#include <math.h>

#include "serverquant/elementary.h"
#include "serverquant/rows.h"

SQ_INLINE float sq_affine(float x, float alpha, float beta) {
    float product = x * alpha;
    return product + beta;
}

/* s^-beta. 3/4, 1/2 and 1, which nets have, take roots. */
SQ_INLINE float sq_negative_power(float s, float beta) {
    if (beta == 0.75f) return 1.0f / (sqrtf(s) * sqrtf(sqrtf(s)));
    if (beta == 0.5f) return 1.0f / sqrtf(s);
    if (beta == 1.0f) return 1.0f / s;
    return sq_pow(s, -beta);
}

/* fmaf(x, f32(x * factor), sum): one more channel of a window. */
SQ_INLINE float sq_add_square(float sum, float x, float factor) { return fmaf(x, x * factor, sum); }

#endif
