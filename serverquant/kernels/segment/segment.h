/* Reductions of segments: rows of a table, grouped, each group to one row.
 *
 * Items are segments. Segment s has the positions offsets[s] <= i < offsets[s + 1] of a list; at position i stands entry
 * e = order[i] (or i itself), which is row rows[e] of the data (or row e itself) with weight weights[e] (or 1).
 * In the order of the positions, column by column:
 *
 *   segment_sum_f32            y = 0; y += x, or y += f32(w * x) with weights
 *   segment_mean_f32           the sum, times f32(1 / count)
 *   segment_max_f32            the largest; a NaN stays if it came first. 0 for no positions
 *   segment_range_mean_f32     y = 0; y += f32(x / count)
 *   segment_range_max_f32      the largest, starting from the lowest float: NaN never wins
 *   segment_log_sum_exp_f32    log(sum(exp(x - m))) + m, m as in range_max; our exponential and logarithm
 *   segment_log_mean_exp_f32   the same with the sum divided by count
 */
#ifndef SERVERQUANT_SEGMENT_H
#define SERVERQUANT_SEGMENT_H

#include <stdint.h>

#include "serverquant/rows.h"

typedef struct {
    const float* data;
    const float* weights;   /* or NULL */
    const void* rows;       /* or NULL: int32 or int64 */
    int wide_rows;
    const int64_t* offsets; /* segments + 1 */
    const int64_t* order;   /* or NULL */
    float* y;
    long long columns;
} sq_segment_job;

extern const sq_row sq_segment_rows[];
extern const int sq_segment_row_count;

#endif
