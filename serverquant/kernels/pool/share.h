/* What planes.h and pixels.h have in common. */
#ifndef SERVERQUANT_POOL_SHARE_H
#define SERVERQUANT_POOL_SHARE_H

#include "pool.h"

static inline int64_t sq_pool_align(int64_t bytes) { return (bytes + 63) / 64 * 64; }
static inline int64_t sq_pool_min(int64_t a, int64_t b) { return a < b ? a : b; }

/* First input element, and number of them, that output `o` sees along axis a. */
static inline int64_t clip(const sq_window* w, int a, int64_t o, int64_t* first) {
    int64_t begin = o * w->stride[a] - w->pad[a], end = begin + w->kernel[a];
    if (begin < 0) begin = 0;
    if (end > w->in[a]) end = w->in[a];
    *first = begin;
    return end > begin ? end - begin : 0;
}

/* The mobile formula; multiplier < 2^24, 1 <= shift <= 62. */
static inline void round_mobile(const sq_pool_job* job, const int32_t* sums, const int32_t* offset, int64_t step,
                                int64_t length, uint8_t* out) {
    for (int64_t i = 0; i < length; i++) {
        int64_t acc = (int64_t)sums[i] - offset[step * i];
        int64_t size = ((acc < 0 ? -acc : acc) * job->multiplier + (1ll << (job->shift - 1))) >> job->shift;
        int64_t v = (acc < 0 ? -size : size) + job->y_zero;
        out[i] = (uint8_t)(v < job->low ? job->low : v > 255 ? 255 : v);
    }
}

/* Sums of one line or pixel to bytes, by the job's formula. */
static inline void round_sums(const sq_pool_job* job, const int32_t* sums, const int32_t* offset, const float* scale,
                              int64_t step, int64_t length, uint8_t* out) {
    if (job->kind == SQ_AVERAGE_MOBILE_U8)
        round_mobile(job, sums, offset, step, length, out);
    else
        job->pool->row->round_u8(sums, offset, scale, step, length, job->pool->nhwc, job->y_zero, job->low, out);
}

#endif
