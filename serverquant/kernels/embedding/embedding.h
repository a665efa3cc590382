/* Sums over bags of table rows. Items are bags: bag b has the indices starts[b] .. starts[b + 1].
 *
 *   y[b][c] = sum over the bag's indices, in their order and from 0, of
 *       float and half tables:  acc = fma(x, w, acc)
 *       quantized tables:       acc = fma(q, f32(scale * w), f32(acc + f32(bias * w)))
 *   w is 1, the index's weight, or the weight of its place in the bag (positional).
 *   mean: y = f32(y * f32(1 / length)); an empty bag gives 0.
 *   map: an index goes through it first; -1 adds nothing, but counts in the length.
 *
 * Each column has its own chain of sums, so neither vectors nor threads change a bit. Reads only the rows named.
 */
#ifndef SERVERQUANT_EMBEDDING_H
#define SERVERQUANT_EMBEDDING_H

#include <stdint.h>

#include "serverquant/rows.h"

typedef struct {
    const void* table;
    long long columns, stride;     /* values of a row; bytes from row to row */
    const void* indices;           /* int64 or int32 */
    int wide_indices;
    const int64_t* starts;
    const float* weights;          /* NULL: 1 */
    int positional, mean;
    const int32_t* map;            /* NULL: none */
    const float* apart;            /* byte tables: scale and bias of each row; NULL: behind its bytes, as float */
    float* y;
} sq_bags_job;

extern const sq_row sq_embedding_rows[];
extern const int sq_embedding_row_count;

#endif
