/* Where items lie. */
#ifndef SERVERQUANT_TRANSPOSE_SCALAR_H
#define SERVERQUANT_TRANSPOSE_SCALAR_H

#include <stdint.h>

#include "transpose.h"

typedef struct {
    long long batch, row, row_end, col, col_end;
} sq_tile;

SQ_INLINE long long sq_least(long long a, long long b) { return a < b ? a : b; }

SQ_INLINE sq_tile sq_tile_at(const sq_transpose_job* j, long long item) {
    const long long down = (j->rows + SQ_TILE - 1) / SQ_TILE, across = (j->cols + SQ_TILE - 1) / SQ_TILE;
    sq_tile t;
    t.batch = item / (down * across);
    t.row = item / across % down * SQ_TILE;
    t.row_end = sq_least(t.row + SQ_TILE, j->rows);
    t.col = item % across * SQ_TILE;
    t.col_end = sq_least(t.col + SQ_TILE, j->cols);
    return t;
}

/* Offset in x of the elements whose dims but the last have this number. */
SQ_INLINE int64_t sq_outer_offset(const sq_permute_job* j, int64_t outer) {
    int64_t offset = 0;
    for (int d = j->ndim - 2; d >= 0; d--) {
        offset += outer % j->dims[d] * j->strides[d];
        outer /= j->dims[d];
    }
    return offset;
}

SQ_INLINE int64_t sq_index_at(const void* indices, int index_bytes, long long i) {
    return index_bytes == 4 ? ((const int32_t*)indices)[i] : ((const int64_t*)indices)[i];
}

#endif
