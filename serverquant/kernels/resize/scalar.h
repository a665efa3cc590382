/* Where rows lie, and the formula of bilinear interpolation. */
#ifndef SERVERQUANT_RESIZE_SCALAR_H
#define SERVERQUANT_RESIZE_SCALAR_H

#include "resize.h"

/* Number of the row of x that row `item` of y comes from; -1: from nowhere. */
SQ_INLINE int64_t sq_source_row(const sq_remap_job* j, int64_t item) {
    const int64_t i = item % j->to[1], t = item / j->to[1] % j->to[0], plane = item / j->to[1] / j->to[0];
    if (j->map[0][t] < 0 || j->map[1][i] < 0) return -1;
    return (plane * j->from[0] + j->map[0][t]) * j->from[1] + j->map[1][i];
}

SQ_INLINE float sq_between(float a, float b, float weight) { return (1.0f - weight) * a + weight * b; }

#endif
