/* The definitions, one element at a time. */
#ifndef SERVERQUANT_UNARY_SCALAR_H
#define SERVERQUANT_UNARY_SCALAR_H

#include <stdint.h>

#include "serverquant/rows.h"

SQ_INLINE float sq_relu(float x) { return x < 0.0f ? 0.0f : x; }

SQ_INLINE float sq_clip(float x, float lo, float hi) {
    x = x < lo ? lo : x;
    return x > hi ? hi : x;
}

#endif
