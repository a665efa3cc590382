/* Sums over bags of table rows. Items are bags: bag b has the indices starts[b] .. starts[b + 1].
 *
 *   y[b][c] = sum over the bag's indices, in their order and from 0, of
 *       float and half tables:  acc = fma(x, w, acc)
 *       quantized tables:       acc = fma(q, f32(scale * w), f32(acc + f32(bias * w)))
 *   w is 1, the index's weight, or the weight of its place in the bag (positional).
 *   mean: y = f32(y * f32(1 / length)); an empty bag gives 0.
 *   map: an index goes through it first; -1 adds nothing, but counts in the length.
 *
 * Each column has its own chain of sums, so neither vectors nor threads change a bit. Where an index, or what it is
 * mapped to, is outside, a call sets *outside and sums nothing. Reads anywhere in the table, never beyond.
 */
#ifndef SERVERQUANT_EMBEDDING_H
#define SERVERQUANT_EMBEDDING_H

#include <stddef.h>
#include <stdint.h>

#include "serverquant/rows.h"

typedef struct {
    const void* table;
    long long rows, columns, stride; /* columns: values of a row; stride: bytes from row to row */
    const void* indices;             /* int64 or int32 */
    int wide_indices;
    const int64_t* starts;
    const float* weights;            /* NULL: 1 */
    int positional, mean;
    const int32_t* map;              /* NULL: none */
    long long mapped;                /* indices that it knows */
    const float* apart;              /* byte tables: scale and bias of each row; NULL: behind its bytes, as float */
    int* outside;
    float* y;
    /* Set by sq_bags_prepare. */
    const uint8_t** found;           /* room for a pointer to the row of each index */
    const uint8_t* edge;             /* rows from here on are read `aside` bytes further, in a copy; NULL: none */
    long long aside;
} sq_bags_job;

/* Bytes from the beginning of a row that are read: vectors take 16 values at a time. */
static inline long long sq_bags_reach(const sq_bags_job* job, int bits) { return (job->columns + 15) / 16 * 2 * bits; }

/* Bytes of scratch memory for so many indices. */
static inline size_t sq_bags_scratch(const sq_bags_job* job, int bits, long long indices) {
    return indices * sizeof(void*) + job->stride + 2 * sq_bags_reach(job, bits);
}

/* Copies the last rows, where so much would reach beyond the table. */
void sq_bags_prepare(sq_bags_job* job, int bits, long long indices, void* scratch);

extern const sq_row sq_embedding_rows[];
extern const int sq_embedding_row_count;

#endif
