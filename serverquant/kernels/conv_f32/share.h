/* Small helpers of the forms. */
#ifndef SERVERQUANT_CONV_F32_SHARE_H
#define SERVERQUANT_CONV_F32_SHARE_H

#include <string.h>

#include "conv_f32.h"

static inline int64_t sq_conv_ceil(int64_t a, int64_t b) { return (a + b - 1) / b; }
static inline int64_t sq_conv_align(int64_t bytes) { return sq_f32_round_up(bytes, 64); }

/* Item where share `s` of `team` begins. */
static inline int64_t sq_conv_share(int64_t items, int64_t s, int64_t team) { return items * s / team; }

/* y[j][i] = x[i][j] for 4 x 4 floats; pitches in floats. */
static inline void transpose_4x4(const float* x, int64_t x_pitch, float* y, int64_t y_pitch) {
    typedef float v4 __attribute__((vector_size(16)));
    typedef int32_t i4 __attribute__((vector_size(16)));
    const i4 lo = {0, 4, 1, 5}, hi = {2, 6, 3, 7}, first = {0, 1, 4, 5}, second = {2, 3, 6, 7};
    v4 r[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) memcpy(&r[i], x + i * x_pitch, sizeof(v4));
    const v4 lo01 = __builtin_shuffle(r[0], r[1], lo), hi01 = __builtin_shuffle(r[0], r[1], hi);
    const v4 lo23 = __builtin_shuffle(r[2], r[3], lo), hi23 = __builtin_shuffle(r[2], r[3], hi);
    const v4 column[4] = {__builtin_shuffle(lo01, lo23, first), __builtin_shuffle(lo01, lo23, second),
                          __builtin_shuffle(hi01, hi23, first), __builtin_shuffle(hi01, hi23, second)};
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) memcpy(y + i * y_pitch, &column[i], sizeof(v4));
}

/* y[j][i] = x[i][j] for rows x columns floats; pitches in floats. */
static inline void transpose_block(const float* x, int64_t x_pitch, int64_t rows, int64_t columns, float* y,
                                   int64_t y_pitch) {
    const int64_t whole_rows = rows / 4 * 4, whole_columns = columns / 4 * 4;
    for (int64_t i = 0; i < whole_rows; i += 4)
        for (int64_t j = 0; j < whole_columns; j += 4)
            transpose_4x4(x + i * x_pitch + j, x_pitch, y + j * y_pitch + i, y_pitch);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = i < whole_rows ? whole_columns : 0; j < columns; j++) y[j * y_pitch + i] = x[i * x_pitch + j];
}

#endif
