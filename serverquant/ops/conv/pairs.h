/* Depthwise 3x3 convolution whose neighbouring taps are added in pairs of saturating int16 numbers: what Caffe2 computes
 * on every x86 machine where the kernel, stride and padding are right for its fast path. Only for weights that can
 * saturate; all others are exact, and so the same as any other convolution's. */
#ifndef SERVERQUANT_CONV_PAIRS_H
#define SERVERQUANT_CONV_PAIRS_H

#include "../kernels/conv/conv.h"
#include "../kernels/gemm/epilogue.h"

enum { SQ_PAIRS_BLOCK = 64, SQ_PAIRS_TAPS = 9 };

typedef struct sq_pairs {
    const sq_conv_geometry* geometry;
    const int8_t* weights;      /* [9][channels] */
    const int32_t* zero_points; /* [channels]; NULL: all are 0 */
    const sq_epilogue* ep;
    const uint8_t* x;
    uint8_t* y;
    int32_t x_zero_point;
} sq_pairs;

/* The tap's pixel for output (b, oy, ox), or NULL in the padding. */
static inline const uint8_t* sq_pairs_pixel(const sq_pairs* p, int64_t b, int64_t oy, int64_t ox, int tap) {
    const sq_conv_geometry* g = p->geometry;
    int64_t iy = oy * g->stride[1] - 1 + tap / 3, ix = ox * g->stride[2] - 1 + tap % 3;
    if (iy < 0 || iy >= g->in[1] || ix < 0 || ix >= g->in[2]) return NULL;
    return p->x + ((b * g->in[1] + iy) * g->in[2] + ix) * g->in_channels;
}

/* Channels c0 .. c0 + n of one output pixel. */
static void sq_pairs_block(const sq_pairs* p, int64_t b, int64_t oy, int64_t ox, int64_t c0, int64_t n) {
    int32_t acc[SQ_PAIRS_BLOCK] = {0}, sum[SQ_PAIRS_BLOCK] = {0};
    const int64_t channels = p->geometry->in_channels;
    uint8_t padding[SQ_PAIRS_BLOCK];
    for (int64_t c = 0; c < n; c++) padding[c] = (uint8_t)p->x_zero_point;
    for (int tap = 0; tap < SQ_PAIRS_TAPS; tap += 2) {
        const int last = tap == SQ_PAIRS_TAPS - 1;
        const uint8_t* x0 = sq_pairs_pixel(p, b, oy, ox, tap);
        const uint8_t* x1 = last ? NULL : sq_pairs_pixel(p, b, oy, ox, tap + 1);
        const int8_t* w0 = p->weights + tap * channels + c0;
        const int8_t* w1 = last ? w0 : w0 + channels;
        x0 = x0 ? x0 + c0 : padding;
        x1 = x1 ? x1 + c0 : padding;
        for (int64_t c = 0; c < n; c++) {
            int32_t second = last ? 0 : x1[c];
            acc[c] += sq_clamp(x0[c] * w0[c] + second * w1[c], INT16_MIN, INT16_MAX);
            sum[c] += x0[c] + second;
        }
    }
    for (int64_t c = 0; c < n; c++) {
        int32_t v = sq_wrap_add(acc[c], p->ep->bias[c0 + c]);
        if (p->zero_points) v = sq_wrap_add(v, -sq_wrap_mul(sum[c], p->zero_points[c0 + c]));
        int64_t pixel = (b * p->geometry->out[1] + oy) * p->geometry->out[2] + ox;
        sq_finish_one(p->ep, v, c0 + c, p->y, pixel * channels + c0 + c);
    }
}

/* Output rows begin .. end, counted through the batch. */
static void sq_pairs_rows(const void* job, long long begin, long long end) {
    const sq_pairs* p = (const sq_pairs*)job;
    const int64_t channels = p->geometry->in_channels, height = p->geometry->out[1];
    for (int64_t row = begin; row < end; row++) {
        for (int64_t ox = 0; ox < p->geometry->out[2]; ox++)
            for (int64_t c = 0; c < channels; c += SQ_PAIRS_BLOCK)
                sq_pairs_block(p, row / height, row % height, ox, c,
                               channels - c < SQ_PAIRS_BLOCK ? channels - c : SQ_PAIRS_BLOCK);
        const int64_t line = p->geometry->out[2] * channels;
        sq_rows_done(p->ep, row, row + 1, 0, line, line);
    }
}

#endif
