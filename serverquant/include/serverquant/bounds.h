/* The Relu or Clip that a float layer does itself. */
#ifndef SERVERQUANT_BOUNDS_H
#define SERVERQUANT_BOUNDS_H

#include "serverquant/simd.h"

/* 0 and infinity are a Relu; -infinity and infinity change nothing. */
typedef struct sq_bounds {
    float lo, hi;
} sq_bounds;

/* NaN stays, so does -0 at a bound of 0; hi wins over lo. */
SQ_INLINE float sq_clip(float x, float lo, float hi) {
    x = lo > x ? lo : x;
    return hi < x ? hi : x;
}

#endif
