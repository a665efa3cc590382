/* Moving elements of 1, 2, 4 or 8 bytes. No arithmetic: NaN payloads survive. x and y do not overlap.
 *
 *   transpose_2d_1 _2 _4 _8   y[b][c][r] = x[b][r][c]. Items are tiles of SQ_TILE x SQ_TILE elements, numbered
 *                             through batch, then rows, then columns.
 *   permute_1 _2 _4 _8        y dense, read at strides. Items are elements of y.
 *   gather                    y[o][i] = x[o][index[i]] for slices of `slice_bytes`; index -k counts from the end. Items
 *                             are slices of y.
 *   copy_rows                 parts, each of rows of its `row_bytes`, from one pitch to another: what Concat joins or
 *                             Split takes apart. Items are rows, of all parts.
 */
#ifndef SERVERQUANT_TRANSPOSE_H
#define SERVERQUANT_TRANSPOSE_H

#include <stdint.h>

#include "serverquant/rows.h"

/* SQ_COPY_BLOCK: bytes from the first to the last row that copy_rows takes of all parts at once. */
enum { SQ_TILE = 64, SQ_PERMUTE_DIMS = 16, SQ_COPY_BLOCK = 16 * 1024 };

typedef struct {
    const void* x;
    void* y;
    long long rows, cols; /* of x, in elements, both > 0 */
} sq_transpose_job;

typedef struct {
    const void* x;
    void* y;
    int ndim;                          /* 1..SQ_PERMUTE_DIMS */
    int64_t dims[SQ_PERMUTE_DIMS];     /* of y, outermost first, each > 0 */
    int64_t strides[SQ_PERMUTE_DIMS];  /* in x, elements */
} sq_permute_job;

typedef struct {
    const void* x;
    void* y;
    const void* indices;
    int index_bytes;       /* 4 or 8 */
    long long count;       /* indices */
    long long dim;         /* slices of x along the axis; -dim <= index < dim */
    long long slice_bytes;
} sq_gather_job;

typedef struct {
    const void* x;
    void* y;
    long long x_pitch, y_pitch, row_bytes;
} sq_rows;

typedef struct {
    const sq_rows* parts;
    int count;
} sq_copy_job;

/* y = x with axes permuted as numpy does: dim d of y is dim axes[d] of x. Neighbours that stay together are joined. */
void sq_permute_prepare(sq_permute_job* job, int ndim, const int64_t* x_dims, const int* axes);

/* The job that repeats x along some dims: dim d of y is a multiple of dim d of x, all dims > 0. Returns 0 if that takes
 * more than SQ_PERMUTE_DIMS dims. */
int sq_repeat_prepare(sq_permute_job* job, int ndim, const int64_t* x_dims, const int64_t* y_dims);

/* Position of the first index outside lowest <= index < dim; -1 if there is none. */
long long sq_gather_check(const void* indices, int index_bytes, long long count, long long lowest, long long dim);

extern const sq_row sq_transpose_rows[];
extern const int sq_transpose_row_count;

#endif
