/* What all bodies share: the rows of a bag, the parameters of a row, one value of it. */
#ifndef SERVERQUANT_EMBEDDING_SCALAR_H
#define SERVERQUANT_EMBEDDING_SCALAR_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "serverquant/half.h"

/* How many rows ahead memory is asked for. */
enum { SQ_BAGS_AHEAD = 16, SQ_BAGS_BLOCK = 64 };

/* The table row of place i, or -1. */
SQ_INLINE int64_t sq_bags_row(const sq_bags_job* j, int64_t i) {
    const int64_t index = j->wide_indices ? ((const int64_t*)j->indices)[i] : ((const int32_t*)j->indices)[i];
    return j->map ? j->map[index] : index;
}

SQ_INLINE float sq_bags_weight(const sq_bags_job* j, int64_t start, int64_t i) {
    return j->weights ? j->weights[j->positional ? i - start : i] : 1.0f;
}

/* Where a row's bytes end, as `bits` each. */
SQ_INLINE const uint8_t* sq_bags_tail(const sq_bags_job* j, const uint8_t* row, int bits) {
    return row + j->columns * bits / 8;
}

/* Scale and bias behind the values, in half precision. */
SQ_INLINE void sq_two_halves_scalar(const uint8_t* from, float* scale, float* bias) {
    uint16_t halves[2];
    memcpy(halves, from, 4);
    *scale = sq_from_half(halves[0]), *bias = sq_from_half(halves[1]);
}

/* Scale and bias of a row of bytes. */
SQ_INLINE void sq_bags_params(const sq_bags_job* j, int64_t row, const uint8_t* at, int bits, float* scale, float* bias) {
    if (j->apart) {
        *scale = j->apart[2 * row], *bias = j->apart[2 * row + 1];
    } else {
        memcpy(scale, sq_bags_tail(j, at, 8), 4);
        memcpy(bias, sq_bags_tail(j, at, 8) + 4, 4);
    }
}

#endif
