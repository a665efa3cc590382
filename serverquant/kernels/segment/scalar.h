/* What the reductions share: which row stands at a position. */
#ifndef SERVERQUANT_SEGMENT_SCALAR_H
#define SERVERQUANT_SEGMENT_SCALAR_H

#include <float.h>
#include <math.h>

#include "segment.h"
#include "serverquant/elementary.h"

SQ_INLINE long long sq_segment_entry(const sq_segment_job* j, long long i) { return j->order ? j->order[i] : i; }

SQ_INLINE const float* sq_segment_row(const sq_segment_job* j, long long entry) {
    if (j->rows) entry = j->wide_rows ? ((const int64_t*)j->rows)[entry] : ((const int32_t*)j->rows)[entry];
    return j->data + entry * j->columns;
}

#endif
