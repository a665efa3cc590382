/* Products of matrices of whole numbers that both change at every run: rows of A times rows of B, nothing is packed.
 *
 *   matmul_s16     items: rows of A, over all matrices of the batch. acc = sum over k of a[m][k] * b[n][k], exact for
 *                  |a|, |b| <= 255 and k <= 33025. y = clamp(rne(f32(float(acc) * multiplier)) + z, lo, hi) as bytes, or
 *                  f32(float(acc) * multiplier) as floats
 *   widen_rows     items: rows of `count` bytes at `stride`; y = x - zero_point, in order
 *   widen_columns  items: columns; y row i = column i of x [count][stride], minus the zero point
 */
#ifndef SERVERQUANT_MATMUL_S16_H
#define SERVERQUANT_MATMUL_S16_H

#include <stdint.h>

#include "serverquant/rows.h"

typedef struct {
    const int16_t* a;              /* [..][m][k] */
    const int16_t* b;              /* [..][n][k] */
    const int64_t* a_at;           /* of each matrix of the batch: its place in a and b, in matrices */
    const int64_t* b_at;
    const float* multipliers;      /* by place in b if by_b, else one for all */
    int by_b;
    void* y;
    int floats;
    long long m, n, k;
    int32_t zero_point, lo, hi;
} sq_matmul_s16_job;

typedef struct {
    const uint8_t* x;
    int16_t* y;
    long long count, stride;
    int32_t zero_point;
} sq_widen_job;

extern const sq_row sq_matmul_s16_rows[];
extern const int sq_matmul_s16_row_count;

#endif
