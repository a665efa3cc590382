/* Steps from float to a stored integer that several families share. */
#ifndef SERVERQUANT_CONVERT_H
#define SERVERQUANT_CONVERT_H

#include <math.h>
#include <stdint.h>

#include "serverquant/rows.h"

/* The x86 conversion: what does not fit becomes INT32_MIN. */
SQ_INLINE int32_t sq_round_or_min(float t) {
    float inside = t >= -2147483648.0f && t < 2147483648.0f ? t : -2147483648.0f;
    return (int32_t)rintf(inside);
}

/* Clamped before the zero point is added, so that the sum fits. */
SQ_INLINE int32_t sq_shift_clamp(int32_t q, int32_t zero_point, int32_t lo, int32_t hi) {
    q = q < lo - zero_point ? lo - zero_point : q;
    q = q > hi - zero_point ? hi - zero_point : q;
    return q + zero_point;
}

#endif
