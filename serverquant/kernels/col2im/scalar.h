/* Places of taps, shared by the loops. */
#ifndef SERVERQUANT_COL2IM_SCALAR_H
#define SERVERQUANT_COL2IM_SCALAR_H

#include "col2im.h"

/* The columns o, first <= o < last, whose tap `tap` lies inside the image along axis a: at o * stride + *shift. */
SQ_INLINE void sq_columns_inside(const sq_window* w, int a, int64_t tap, int64_t* first, int64_t* last,
                                 int64_t* shift) {
    const int64_t s = w->stride[a], at = tap * w->dilation[a] - w->pad[a];
    *shift = at;
    *first = at >= 0 ? 0 : (-at + s - 1) / s;
    *last = w->in[a] - at <= 0 ? 0 : (w->in[a] - at - 1) / s + 1;
    if (*last > w->out[a]) *last = w->out[a];
    if (*first > *last) *first = *last;
}

/* The column whose tap `tap` lies at place i of axis a, or -1. */
SQ_INLINE int64_t sq_column_at(const sq_window* w, int a, int64_t tap, int64_t i) {
    const int64_t at = i + w->pad[a] - tap * w->dilation[a];
    if (at < 0 || at % w->stride[a]) return -1;
    return at / w->stride[a] < w->out[a] ? at / w->stride[a] : -1;
}

#endif
