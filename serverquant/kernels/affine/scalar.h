/* The definitions, one element at a time. */
#ifndef SERVERQUANT_AFFINE_SCALAR_H
#define SERVERQUANT_AFFINE_SCALAR_H

#include <math.h>

#include "affine.h"
#include "serverquant/convert.h"

SQ_INLINE uint8_t sq_affine_finish(const sq_affine_job* j, int32_t acc) {
    const int32_t q = sq_round_or_min((float)acc * j->multiplier);
    return (uint8_t)sq_shift_clamp(q, j->zero_point, j->lo, j->hi);
}

SQ_INLINE uint8_t sq_affine_mul(const sq_affine_job* j, uint8_t a, uint8_t b) {
    return sq_affine_finish(j, ((int32_t)a - j->a_zero_point) * ((int32_t)b - j->b_zero_point));
}

SQ_INLINE uint8_t sq_affine_linear(const sq_affine_job* j, uint8_t a, uint8_t b, int32_t bias) {
    const int32_t product = ((int32_t)a - j->a_zero_point) * ((int32_t)b - j->b_zero_point);
    return sq_affine_finish(j, (int32_t)((uint32_t)product + (uint32_t)bias));
}

SQ_INLINE uint8_t sq_affine_norm(const sq_affine_job* j, uint8_t a, float alpha, float beta) {
    const int32_t q = sq_round_or_min(fmaf(alpha, (float)((int32_t)a - j->a_zero_point), beta));
    return (uint8_t)sq_shift_clamp(q, j->zero_point, j->lo, j->hi);
}

#endif
