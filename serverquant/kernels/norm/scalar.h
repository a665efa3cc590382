/* The definition, one element at a time. */
#ifndef SERVERQUANT_NORM_SCALAR_H
#define SERVERQUANT_NORM_SCALAR_H

#include <math.h>

#include "serverquant/rows.h"

SQ_INLINE float sq_affine(float x, float alpha, float beta) {
    float product = x * alpha;
    return product + beta;
}

#endif
