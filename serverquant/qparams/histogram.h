/* Counting values into bins of equal width. */
#ifndef SERVERQUANT_HISTOGRAM_H
#define SERVERQUANT_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

/* Bin of x: trunc(f32(f32(x - lo) / width)), kept within 0..bins-1; a NaN counts in bin 0. width > 0. */
static void sq_count(const float *x, ptrdiff_t n, float lo, float width, int32_t bins, int64_t *counts) {
    const float top = (float)(bins - 1);
    for (ptrdiff_t i = 0; i < n; i++) {
        float place = (x[i] - lo) / width;
        place = place > 0.0f ? place : 0.0f;
        counts[place < top ? (int32_t)place : bins - 1]++;
    }
}

#endif
