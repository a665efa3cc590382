/* Few output channels: the lanes are pixels, and nothing is gathered for each tap. The channels of a band of lines are
 * padded and sorted into phases (window.h), one plane after another; then every tap of every channel is the same row at
 * a fixed offset, and an output channel is one flat row of pixels, as in depthwise convolution but over all channels.
 * Loads, of which most cross the border of a cache line, are shared by output channels, or else by output lines.
 */
#ifndef SERVERQUANT_CONV_F32_PLANES_H
#define SERVERQUANT_CONV_F32_PLANES_H

#include <string.h>

#include "depthwise.h"
#include "serverquant/stream.h"
#include "share.h"

/* A band's planes should stay in the second-level cache. PIECE: pixels at once where the image is read in place. */
enum { FEW_OUTPUTS = 4, FEW_PRODUCTS = 4, BAND_FLOATS = 128 * 1024, PIECE = 4096 };

/* Where the image is read in place, also for many outputs of a few products each, which wait for memory: a plane is
 * written in long runs. */
static int reads_in_place(const sq_conv_f32* c) {
    return c->groups == 1 && !c->nhwc && sq_window_is_point(&c->window) && c->channels <= FEW_PRODUCTS &&
           sq_volume(c->window.out) >= c->row->lanes;
}

static int takes_planes(const sq_conv_f32* c) {
    return reads_in_place(c) ||
           (c->groups == 1 && c->out_channels <= FEW_OUTPUTS && sq_volume(c->window.out) >= c->row->lanes);
}

typedef struct band_plan {
    sq_window window;  /* of a band */
    sq_phases phases;  /* of one channel of a band */
    int32_t direct;    /* 1: NCHW and 1x1, the planes are read where they are */
    int64_t lines;     /* output lines of a band; direct: pixels */
    int64_t bands;     /* of an image */
    int64_t flat_pitch; /* floats from the flat row of an output channel to the next one's */
    int64_t planes_at, flat_at, bytes; /* offsets in a share's scratch, which begins with the offsets of the taps */
} band_plan;

/* Where the image is read in place, outputs wait for memory, not for loads. */
static int64_t outputs_at_once(const sq_conv_f32* c) { return c->out_channels <= FEW_OUTPUTS ? c->out_channels : 1; }

static band_plan plan_bands(const sq_conv_f32* c) {
    band_plan p = {.window = c->window, .direct = !c->nhwc && sq_window_is_point(&c->window)};
    int64_t* out = p.window.out;
    if (p.direct) {
        out[2] = p.window.in[2] = sq_volume(out);
        out[0] = out[1] = p.window.in[0] = p.window.in[1] = 1;
        p.lines = PIECE;
        p.bands = sq_conv_ceil(out[2], PIECE);
    } else {
        const int64_t line = sq_phases_of(&c->window, 1).size[2] * c->window.stride[2] * c->window.stride[1];
        const int64_t fit = BAND_FLOATS / (line * c->channels + 1);
        p.lines = out[0] > 1 || fit > out[1] ? out[1] : fit < 1 ? 1 : fit;
        p.bands = sq_conv_ceil(out[1], p.lines);
        out[1] = p.lines;
    }
    p.phases = sq_phases_of(&p.window, 1);
    p.planes_at = sq_conv_align(sq_conv_f32_k(c) * (int64_t)sizeof(int64_t));
    p.flat_at = p.planes_at;
    if (!p.direct) p.flat_at += sq_conv_align(c->channels * p.phases.total * (int64_t)sizeof(float)) + 64;
    p.flat_pitch = sq_f32_round_up(p.direct ? PIECE : p.phases.length, 16);
    p.bytes = p.flat_at + outputs_at_once(c) * p.flat_pitch * (int64_t)sizeof(float) + 64;
    return p;
}

/* Zeros in a line of each plane but for pixels first..last. */
static void zero_borders(float* y, int64_t channels, const sq_phases* p, int64_t first, int64_t last) {
    for (int64_t c = 0; c < channels; c++, y += p->total) {
        for (int64_t i = 0; i < first; i++) y[i] = 0.0f;
        for (int64_t i = last; i < p->size[2]; i++) y[i] = 0.0f;
    }
}

/* All channels' phases of an NHWC image. */
static void split_channels(const sq_conv_f32* c, const sq_phases* p, const sq_window* w, const float* x, float* out) {
    for (int64_t phase = 0; phase < sq_volume(w->stride); phase++) {
        int64_t r[3], first, last;
        sq_coordinates(phase, w->stride, r);
        sq_phases_line(p, w, r[2], &first, &last);
        const int64_t x0 = first * w->stride[2] + r[2] - w->pad[2];
        for (int64_t i = 0; i < p->size[0]; i++)
            for (int64_t j = 0; j < p->size[1]; j++, out += p->size[2]) {
                const int64_t z = i * w->stride[0] + r[0] - w->pad[0], y = j * w->stride[1] + r[1] - w->pad[1];
                const int inside = z >= 0 && z < w->in[0] && y >= 0 && y < w->in[1];
                zero_borders(out, c->channels, p, inside ? first : 0, inside ? last : 0);
                if (!inside) continue;
                transpose_block(x + ((z * w->in[1] + y) * w->in[2] + x0) * c->channels, w->stride[2] * c->channels,
                                last - first, c->channels, out + first, p->total);
            }
    }
}

/* What the taps read of the band whose first output line is `first`. */
static const float* band_planes(const sq_conv_f32* c, const band_plan* p, const float* image, int64_t first,
                                float* planes) {
    sq_window w = p->window;
    if (p->direct) return image + first;
    w.pad[1] -= first * w.stride[1];
    if (c->nhwc) {
        split_channels(c, &p->phases, &w, image, planes);
    } else {
        for (int64_t j = 0; j < c->channels; j++)
            fill_phases(&p->phases, &w, image + j * sq_volume(w.in), 0.0f, 1, planes + j * p->phases.total);
    }
    return planes;
}

/* A flat row without its gaps to output channel `channel`; y: the image. */
static void copy_band(const sq_conv_f32* c, const band_plan* p, const float* flat, int64_t first, int64_t channel,
                      int streamed, float* y) {
    const int64_t* out = c->window.out;
    if (p->direct) {
        const int64_t count = sq_f32_min(PIECE, p->window.out[2] - first);
        float* to = y + channel * p->window.out[2] + first;
        if (streamed)
            sq_copy_streamed(to, flat, count);
        else
            memcpy(to, flat, (size_t)count * sizeof(float));
        return;
    }
    for (int64_t z = 0; z < out[0]; z++)
        for (int64_t i = 0; i < sq_f32_min(p->lines, out[1] - first); i++) {
            const float* line = flat + (z * p->phases.size[1] + i) * p->phases.size[2];
            const int64_t pixel = (z * out[1] + first + i) * out[2], n = c->out_channels;
            if (!c->nhwc || n == 1)
                sq_copy_short(y + channel * sq_volume(out) + pixel, line, out[2] * (int64_t)sizeof(float));
            else
                for (int64_t x = 0; x < out[2]; x++) y[(pixel + x) * n + channel] = line[x];
        }
}

static void list_offsets(const sq_conv_f32* c, const band_plan* p, int64_t* offset) {
    const int64_t plane = p->direct ? p->window.in[2] : p->phases.total;
    for (int64_t t = 0; t < sq_volume(c->window.kernel); t++) {
        int64_t tap[3];
        sq_coordinates(t, c->window.kernel, tap);
        for (int64_t j = 0; j < c->channels; j++) *offset++ = sq_phases_tap(&p->phases, &p->window, tap) + j * plane;
    }
}

/* The flat row of one output channel, three lines at once where the window lets them share what they read. */
static void sum_lines(const sq_conv_f32_job* job, const band_plan* p, const float* x, const int64_t* offset, int64_t n,
                      int64_t length, float* flat) {
    const sq_depthwise_f32_row* row = job->conv->depthwise;
    const sq_window* w = &p->window;
    const int64_t k = sq_conv_f32_k(job->conv), pitch = p->phases.size[2];
    const float *weights = job->packed->data + n * k, *bias = job->bias ? job->bias + n : NULL;
    const int plane = w->out[0] == 1 && w->kernel[0] == 1;
    int64_t line = 0;
    if (plane && w->kernel[1] >= 3 && w->stride[1] == 1 && w->dilation[1] == 1)
        for (; line + 3 <= w->out[1]; line += 3)
            row->three_lines(x + line * pitch, offset, k / w->kernel[1], w->kernel[1], pitch, weights, bias,
                             job->bounds, w->out[2], flat + line * pitch);
    const int64_t done = line * pitch;
    if (done < length) row->flat(x + done, offset, k, weights, bias, job->bounds, length - done, flat + done);
}

static int is_streamed(const sq_conv_f32_job* job) {
    const sq_conv_f32* c = job->conv;
    const int64_t pixels = sq_volume(c->window.out);
    return sq_is_streamed(job->y, c->batch * c->out_channels * pixels, pixels);
}

/* A band to its output channels. */
static void sum_band(const sq_conv_f32_job* job, const band_plan* p, const float* x, const int64_t* offset,
                     int64_t first, int64_t length, float* flat, float* y) {
    const sq_conv_f32* c = job->conv;
    const int64_t at_once = outputs_at_once(c);
    for (int64_t n = 0; n < c->out_channels; n += at_once) {
        if (at_once > 1)
            c->depthwise->outputs[at_once - 2](x, offset, sq_conv_f32_k(c), job->packed->data, job->bias, job->bounds,
                                               length, flat, p->flat_pitch);
        else
            sum_lines(job, p, x, offset, n, length, flat);
        for (int64_t i = 0; i < at_once; i++) copy_band(c, p, flat + i * p->flat_pitch, first, n + i, is_streamed(job), y);
    }
}

static void run_planes(const void* arg, long long begin, long long end) {
    const sq_conv_f32_job* job = (const sq_conv_f32_job*)arg;
    const sq_conv_f32* c = job->conv;
    const band_plan p = plan_bands(c);
    const int64_t in = c->channels * sq_volume(c->window.in);
    const int64_t out = c->out_channels * sq_volume(c->window.out), items = c->batch * p.bands;
    for (long long share = begin; share < end; share++) {
        char* scratch = job->scratch + share * p.bytes;
        int64_t* offset = (int64_t*)scratch;
        float* flat = (float*)(scratch + p.flat_at);
        list_offsets(c, &p, offset);
        const int64_t last = sq_conv_share(items, share + 1, job->team);
        for (int64_t item = sq_conv_share(items, share, job->team); item < last; item++) {
            const int64_t image = item / p.bands, first = item % p.bands * p.lines;
            const float* x = band_planes(c, &p, job->x + image * in, first, (float*)(scratch + p.planes_at));
            const int64_t length = p.direct ? sq_f32_min(PIECE, p.window.out[2] - first) : p.phases.length;
            sum_band(job, &p, x, offset, first, length, flat, job->y + image * out);
        }
    }
    if (is_streamed(job)) sq_stream_end();
}

#endif
