/* Reductions of the middle axis. x is (outer, n, inner), y (outer, inner); items are y's elements. x and y do not
 * overlap. Integers wrap. maps.inc says what each does with an element.
 *
 *   SQ_REDUCE   inner = 1: sixteen partial results whatever the vector width, number k takes elements k, k+16, k+32,
 *               ... in that order, then they are joined by halves: k with k+8, then k+4, k+2, k+1.
 *               inner > 1: in order.
 *               Largest and smallest begin with the first element: a NaN in front stays, others are passed over.
 *   SQ_ARG      the place of the first largest (smallest) element; a NaN in front stays, others are passed over
 *   top_k_f32   the k largest of each line in falling order, of equals the first first, and their places; what n < k
 *               leaves over is 0 and -1. places_flat, if there: places in x.
 */
#ifndef SERVERQUANT_REDUCE_H
#define SERVERQUANT_REDUCE_H

#include <stdint.h>

#include "serverquant/rows.h"

typedef struct {
    const void* x;
    void* y;
    long long n, inner;
} sq_reduce_job;

typedef struct {
    const float* x;
    float* values;          /* all (outer, k, inner) */
    int64_t* places;
    int64_t* places_flat;   /* or NULL */
    long long n, inner, k;
} sq_top_k_job;

extern const sq_row sq_reduce_rows[];
extern const int sq_reduce_row_count;

#endif
