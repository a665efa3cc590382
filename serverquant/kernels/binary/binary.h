/* Several inputs, one output, element by element. Items are output elements; y may be an input (same address, same
 * shape), else arrays do not overlap. Integers wrap.
 *
 *   maps.inc SQ_BINARY   y = f(a, b) over a grid: a and b at their strides (0 = repeated), y dense
 *   maps.inc SQ_FOLD     y = finish(f(f(x0, x1), x2) ...), from left to right
 */
#ifndef SERVERQUANT_BINARY_H
#define SERVERQUANT_BINARY_H

#include <stdint.h>

#include "serverquant/rows.h"

enum { SQ_MAX_DIMS = 16 };

typedef struct {
    const void* a;
    const void* b;
    void* y;
    int ndim;                        /* 1..SQ_MAX_DIMS */
    int64_t dims[SQ_MAX_DIMS];       /* outermost first, each > 0 */
    int64_t a_strides[SQ_MAX_DIMS];  /* elements */
    int64_t b_strides[SQ_MAX_DIMS];
} sq_binary_job;

typedef struct {
    const void* const* inputs;
    int count;                       /* >= 1 */
    void* y;
} sq_fold_job;

/* Joins neighbouring dims that both inputs walk in one stride, and drops dims of 1, but for the only one. */
void sq_collapse(sq_binary_job* job);

extern const sq_row sq_binary_rows[];
extern const int sq_binary_row_count;

#endif
