/* The definitions, one value or one row at a time. */
#ifndef SERVERQUANT_ROWWISE_SCALAR_H
#define SERVERQUANT_ROWWISE_SCALAR_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "serverquant/convert.h"
#include "serverquant/half.h"

typedef struct {
    float scale, bias;
} sq_row_params;

static inline sq_row_params sq_read_params(const uint8_t* tail, int format) {
    sq_row_params p;
    if (format == SQ_ROWS_U8 || format == SQ_ROWS_FAKE) {
        memcpy(&p.scale, tail, 4);
        memcpy(&p.bias, tail + 4, 4);
    } else {
        uint16_t halves[2];
        memcpy(halves, tail, 4);
        p.scale = sq_from_half(halves[0]), p.bias = sq_from_half(halves[1]);
    }
    return p;
}

static inline void sq_write_params(uint8_t* tail, int format, sq_row_params p) {
    if (format == SQ_ROWS_U8 || format == SQ_ROWS_FAKE) {
        memcpy(tail, &p.scale, 4);
        memcpy(tail + 4, &p.bias, 4);
    } else {
        const uint16_t halves[2] = {sq_to_half(p.scale), sq_to_half(p.bias)};
        memcpy(tail, halves, 4);
    }
}

/* Of the formats with half precision parameters, from the range lo..hi. */
static inline sq_row_params sq_half_params(float lo, float hi, int bits, int fake) {
    sq_row_params p = {1.0f, sq_from_half(sq_to_half(lo))};
    const float range = hi - p.bias;
    if (range != 0) p.scale = sq_from_half(sq_to_half(range / (float)((1 << bits) - 1)));
    if (!fake && (p.scale == 0 || isinf(1.0f / p.scale))) p.scale = 1.0f;
    return p;
}

/* Root of the summed squared errors of a row that is quantized by the range lo..hi; four roundings a value. */
static inline float sq_row_error(const float* x, long long n, float lo, float hi, int bits) {
    lo = sq_from_half(sq_to_half(lo));
    const float range = hi - lo, most = (float)((1 << bits) - 1);
    const float scale = range == 0 ? 1.0f : sq_from_half(sq_to_half(range / most));
    const float inverse = 1.0f / scale;
    float sum = 0;
    for (long long i = 0; i < n; i++) {
        float q = rintf((x[i] - lo) * inverse);
        q = most < q ? most : q;
        q = 0.0f < q ? q : 0.0f;
        const float error = x[i] - (q * scale + lo);
        sum += error * error;
    }
    return sqrtf(sum);
}

/* Caffe2's search for a range with a smaller error: from both ends inwards in steps of a two-hundredth, always the
 * better one, down to 84 % of the range; a place from which both steps are worse is kept if no earlier one was better. */
static inline void sq_narrow_range(const float* x, long long n, int bits, float* lo, float* hi) {
    const float step = (*hi - *lo) / 200.0f, least = 168.0f * step;
    float from = *lo, to = *hi;
    float error = sq_row_error(x, n, from, to, bits), best = error;
    /* Some 32 turns; the bound ends a search whose steps are too small to move an end. */
    for (int turn = 0; turn < 200 && from + least < to; turn++) {
        const float without_low = sq_row_error(x, n, from + step, to, bits);
        const float without_high = sq_row_error(x, n, from, to - step, bits);
        if (error < without_low && error < without_high && error < best) best = error, *lo = from, *hi = to;
        if (without_low < without_high)
            from += step, error = without_low;
        else
            to -= step, error = without_high;
    }
}

/* Halves away from zero, clamped to a byte; NaN gives 0. */
SQ_INLINE uint8_t sq_byte_half_away(float t) {
    const float r = roundf(t);
    return r >= 255.0f ? 255 : r > 0.0f ? (uint8_t)r : 0;
}

#endif
