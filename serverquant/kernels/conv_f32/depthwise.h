/* One input channel a group: nothing to share between outputs, so taps are walked for vectors of pixels (NCHW) or of
 * channels (NHWC). */
#ifndef SERVERQUANT_CONV_F32_DEPTHWISE_H
#define SERVERQUANT_CONV_F32_DEPTHWISE_H

#include <string.h>

#include "share.h"

/* With one channel the orders are the same, and pixels fill vectors better. */
static int depthwise_by_pixel(const sq_conv_f32* c) { return c->nhwc && c->channels > 1; }

SQ_PHASES_FILL(fill_phases, float, sq_every_second_f32)

/* Byte offsets in a share's scratch: tap offsets, then phases, then the flat row (NCHW). NHWC: pointers of the taps. */
typedef struct plane_scratch {
    int64_t phases_at, flat_at, bytes;
} plane_scratch;

static plane_scratch plan_planes(const sq_conv_f32* c, const sq_phases* p) {
    plane_scratch s;
    s.phases_at = sq_conv_align(sq_volume(c->window.kernel) * (int64_t)sizeof(int64_t));
    s.flat_at = s.phases_at + (p->direct ? 0 : sq_conv_align(p->total * (int64_t)sizeof(float)) + 64);
    s.bytes = s.flat_at + sq_conv_align(p->length * (int64_t)sizeof(float)) + 64;
    return s;
}

/* NCHW with a 3x3 window that is not spread: planes are read where they are, a few lines at once. */
static int depthwise_by_line(const sq_conv_f32* c) {
    const sq_window* w = &c->window;
    const int plane = w->in[0] == 1 && w->out[0] == 1 && w->kernel[0] == 1 && w->pad[0] == 0;
    const int tight = w->kernel[1] == 3 && w->kernel[2] == 3 && w->dilation[1] == 1 && w->dilation[2] == 1;
    return plane && tight && w->stride[1] == w->stride[2] && w->stride[2] <= 2 && !depthwise_by_pixel(c);
}

static int64_t depthwise_share_bytes(const sq_conv_f32* c) {
    if (depthwise_by_line(c)) return 0;
    if (depthwise_by_pixel(c)) return sq_conv_align(sq_volume(c->window.kernel) * (int64_t)sizeof(float*));
    sq_phases p = sq_phases_of(&c->window, 1);
    return plan_planes(c, &p).bytes;
}

/* The flat row without its gaps. */
static void copy_lines(const sq_window* w, const sq_phases* p, const float* flat, float* y) {
    for (int64_t z = 0; z < w->out[0]; z++)
        for (int64_t i = 0; i < w->out[1]; i++, y += w->out[2])
            sq_copy_short(y, flat + (z * p->size[1] + i) * p->size[2], w->out[2] * (int64_t)sizeof(float));
}

static void depthwise_planes(const sq_conv_f32_job* job, int64_t first, int64_t last, char* scratch) {
    const sq_conv_f32* c = job->conv;
    const sq_window* w = &c->window;
    const sq_phases p = sq_phases_of(w, 1);
    const plane_scratch s = plan_planes(c, &p);
    const int64_t taps = sq_volume(w->kernel), multiplier = c->out_channels / c->channels;
    int64_t* offset = (int64_t*)scratch;
    float* phases = (float*)(scratch + s.phases_at);
    float* flat = (float*)(scratch + s.flat_at);
    for (int64_t t = 0; t < taps; t++) {
        int64_t tap[3];
        sq_coordinates(t, w->kernel, tap);
        offset[t] = sq_phases_tap(&p, w, tap);
    }
    for (int64_t plane = first; plane < last; plane++) {
        const int64_t m = plane % c->out_channels;
        const float* x = job->x + plane / multiplier * sq_volume(w->in);
        if (!p.direct && (plane == first || plane % multiplier == 0))
            fill_phases(&p, w, x, 0.0f, plane == first, phases);
        c->depthwise->flat(p.direct ? x : phases, offset, taps, job->packed->data + m * taps,
                           job->bias ? job->bias + m : NULL, job->bounds, p.length, flat);
        copy_lines(w, &p, flat, job->y + plane * sq_volume(w->out));
    }
}

static void depthwise_pixels(const sq_conv_f32_job* job, int64_t first, int64_t last, const float** taps_at,
                             const float* zeros) {
    const sq_conv_f32* c = job->conv;
    const sq_window* w = &c->window;
    const int64_t taps = sq_volume(w->kernel), out = sq_volume(w->out), in = sq_volume(w->in);
    for (int64_t pixel = first; pixel < last; pixel++) {
        int64_t at[3];
        sq_coordinates(pixel % out, w->out, at);
        sq_window_pointers(w, (const char*)(job->x + pixel / out * in * c->channels),
                           c->channels * (int64_t)sizeof(float), zeros, at, (const void**)taps_at, 1);
        c->depthwise->channels(taps_at, taps, job->packed->data, job->bias, job->bounds, c->channels,
                               job->y + pixel * c->channels);
    }
}

static void depthwise_lines(const sq_conv_f32_job* job, int64_t first, int64_t last) {
    const sq_conv_f32* c = job->conv;
    const sq_window* w = &c->window;
    const int64_t multiplier = c->out_channels / c->channels;
    for (int64_t plane = first; plane < last; plane++) {
        const int64_t m = plane % c->out_channels;
        c->depthwise->lines(job->x + plane / multiplier * sq_volume(w->in), (const float*)job->scratch, w,
                            job->packed->data + m * 9, job->bias ? job->bias + m : NULL, job->bounds,
                            job->y + plane * sq_volume(w->out));
    }
}

static int64_t depthwise_zero_bytes(const sq_conv_f32* c) {
    const int64_t zeros = depthwise_by_pixel(c) ? c->channels : depthwise_by_line(c) ? c->window.in[2] : 0;
    return zeros ? sq_conv_align(zeros * (int64_t)sizeof(float)) + 64 : 0;
}

static void run_depthwise(const void* arg, long long begin, long long end) {
    const sq_conv_f32_job* job = (const sq_conv_f32_job*)arg;
    const sq_conv_f32* c = job->conv;
    const int64_t items = c->batch * (depthwise_by_pixel(c) ? sq_volume(c->window.out) : c->out_channels);
    for (long long share = begin; share < end; share++) {
        int64_t first = sq_conv_share(items, share, job->team), last = sq_conv_share(items, share + 1, job->team);
        char* scratch = job->scratch + depthwise_zero_bytes(c) + share * depthwise_share_bytes(c);
        if (depthwise_by_line(c))
            depthwise_lines(job, first, last);
        else if (depthwise_by_pixel(c))
            depthwise_pixels(job, first, last, (const float**)scratch, (const float*)job->scratch);
        else
            depthwise_planes(job, first, last, scratch);
    }
}

#endif
