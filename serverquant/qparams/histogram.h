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

/* Add to counts[floor(x * factor) - first], exactly: factor is a power of two, and a double holds every such product. */
static void sq_count_aligned(const float *x, ptrdiff_t n, double factor, int64_t first, int64_t *counts) {
    for (ptrdiff_t i = 0; i < n; i++) {
        const double place = (double)x[i] * factor;
        const int64_t toward_zero = (int64_t)place; /* floor() is a call where the compiler may not assume SSE4.1 */
        counts[toward_zero - (place < (double)toward_zero) - first]++;
    }
}

#endif
