/* What all bodies share: indices that go through a map, the parameters of a row, what may be read of it. */
#ifndef SERVERQUANT_EMBEDDING_SCALAR_H
#define SERVERQUANT_EMBEDDING_SCALAR_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "serverquant/half.h"

/* Columns `first` on of all rows: parts of 16, the last of which may lack some. Rows are found at the first of them. */
typedef struct {
    const sq_bags_job* job;
    const uint8_t* const* found;
    int bits, parts, plain; /* plain: see sq_bags_plain */
    int columns;
    long long first, tail, end; /* from the first of them on: bytes to the last value, bytes to the end of the row */
} sq_bags_block;

/* Sums a block's columns of bags begin <= bag < end; rows are asked for up to place `last`. */
typedef void (*sq_bags_block_fn)(const sq_bags_job* j, long long first, long long begin, long long end, int64_t last);

/* A bag that is being summed: the next place and the last; weights are those of places from `origin` on. */
typedef struct {
    long long bag;
    int64_t i, end, origin;
} sq_bags_lane;

/* Whether every place has a row, of weight 1, with its parameters behind its values: a shorter loop. */
SQ_INLINE int sq_bags_plain(const sq_bags_job* j) { return !j->weights && !j->map && !j->apart; }

SQ_INLINE sq_bags_block sq_bags_block_of(const sq_bags_job* j, int bits, int parts, int plain, long long first) {
    const long long left = j->columns - first, before = first * bits / 8;
    const sq_bags_block block = {j, j->found, bits, parts, plain, left < 16 * parts ? (int)left : 16 * parts,
                                 first, j->columns * bits / 8 - before, j->stride - before};
    return block;
}

SQ_INLINE sq_bags_lane sq_bags_lane_of(const sq_bags_job* j, long long bag) {
    const sq_bags_lane lane = {bag, j->starts[bag], j->starts[bag + 1], j->positional ? j->starts[bag] : 0};
    return lane;
}

/* What the sums of a bag are multiplied by. */
SQ_INLINE float sq_bags_factor(const sq_bags_job* j, long long bag) {
    const int64_t length = j->starts[bag + 1] - j->starts[bag];
    return j->mean && length ? 1.0f / (float)length : 1.0f;
}

SQ_INLINE int64_t sq_bags_index(const sq_bags_job* j, int64_t i) {
    return j->wide_indices ? ((const int64_t*)j->indices)[i] : ((const int32_t*)j->indices)[i];
}

/* A row, or the copy of one near the end of the table. */
SQ_INLINE const uint8_t* sq_bags_readable(const sq_bags_job* j, const uint8_t* row) {
    return j->edge && row >= j->edge ? row + j->aside : row;
}

/* The rows of mapped places, NULL for -1; 0 where one is outside. */
SQ_INLINE int sq_bags_find_mapped(const sq_bags_job* j, int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) {
        const int64_t index = sq_bags_index(j, i);
        if (index < 0 || index >= j->mapped) return 0;
        const int64_t row = j->map[index];
        if (row < -1 || row >= j->rows) return 0;
        const uint8_t* at = (const uint8_t*)j->table + row * j->stride;
        j->found[i] = row < 0 ? NULL : sq_bags_readable(j, at);
    }
    return 1;
}

/* Scale and bias, in half precision. */
SQ_INLINE void sq_two_halves_scalar(const uint8_t* from, float* scale, float* bias) {
    uint16_t halves[2];
    memcpy(halves, from, 4);
    *scale = sq_from_half(halves[0]), *bias = sq_from_half(halves[1]);
}

SQ_INLINE float sq_float_at(const uint8_t* from) {
    float x;
    memcpy(&x, from, 4);
    return x;
}

/* Scale and bias of the row of place i, where they are apart (there is no map then). */
SQ_INLINE const uint8_t* sq_bags_apart(const sq_bags_job* j, int64_t i) {
    return (const uint8_t*)(j->apart + 2 * sq_bags_index(j, i));
}

/* The rows of a bag are found further on from now on. */
SQ_INLINE void sq_bags_advance(const sq_bags_job* j, long long bag, int bytes) {
    for (int64_t i = j->starts[bag]; i < j->starts[bag + 1]; i++)
        if (j->found[i]) j->found[i] += bytes;
}

/* How many places ahead memory is asked for: far enough for many requests to be under way, near enough for what has
 * come to be in the first cache still. */
SQ_INLINE int sq_bags_ahead(const sq_bags_block* k) {
    const int lines = (k->parts * 2 * k->bits + 63) / 64 + (k->bits <= 8), fit = 144 / lines;
    return fit < 8 ? 8 : fit > 64 ? 64 : fit;
}

/* Asks for the values of place i and their parameters. */
SQ_INLINE void sq_bags_prefetch(const sq_bags_block* k, int64_t i) {
    const uint8_t* row = k->found[i];
    const int bytes = k->parts * 2 * k->bits;
#pragma GCC unroll 16
    for (int b = 0; b < bytes; b += 64) __builtin_prefetch(row + b);
    __builtin_prefetch(row + (k->bits <= 8 ? k->end : bytes) - 1);
}

#endif
