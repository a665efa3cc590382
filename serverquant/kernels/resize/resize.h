/* Images in other sizes. An image is planes of frames of rows of elements. x and y do not overlap.
 *
 *   remap_1 _2 _4 _8   y[p][t][i][j] = x[p][map[0][t]][map[1][i]][map[2][j]], or fill[j] where an index is -1. Elements
 *                      of 1, 2, 4 or 8 bytes.
 *   remap_block        the same with elements of `elem_bytes`: pixels with all their channels.
 *                      Items are rows of y. No arithmetic: NaN payloads survive.
 *   bilinear_f32       y[p][i][j] = u*(b*x[r][c] + d*x[r][c']) + v*(b*x[r'][c] + d*x[r'][c']) with r, r' = rows.first[i],
 *                      rows.second[i], v = rows.weight[i], u = 1 - v; c, c', d, b likewise from columns[j]. Every
 *                      operation rounds. Items are rows of y.
 */
#ifndef SERVERQUANT_RESIZE_H
#define SERVERQUANT_RESIZE_H

#include <stdint.h>

#include "serverquant/rows.h"

typedef struct {
    const void* x;
    void* y;
    const void* fill;     /* a row of y */
    const int32_t* map[3];
    int64_t from[3], to[3];
    int64_t elem_bytes;
    int64_t run[2];       /* columns run[0] <= j < run[1] are neighbours in x too; found by sq_remap_prepare */
    int doubled;          /* map[2][j] is j / 2; found by sq_remap_prepare */
} sq_remap_job;

/* Where the outputs along one side lie between inputs. */
typedef struct {
    const int32_t* first;
    const int32_t* second;
    const float* weight;  /* of the second */
    int64_t from, to;
} sq_side;

typedef struct {
    const float* x;
    float* y;
    sq_side rows, columns;
} sq_bilinear_job;

void sq_remap_prepare(sq_remap_job* job);

extern const sq_row sq_resize_rows[];
extern const int sq_resize_row_count;

#endif
