/* The lanes are output channels: rows of A are pixels, found by a pointer for every tap (no im2col), or gathered where
 * a tap holds so few channels that following pointers costs more than copying. NCHW inputs are transposed first, and
 * output tiles on their way out: that pays where an output plane has too few pixels to fill vectors.
 */
#ifndef SERVERQUANT_CONV_F32_CHANNELS_H
#define SERVERQUANT_CONV_F32_CHANNELS_H

#include <string.h>

#include "share.h"

enum { FEW_CHANNELS = 16 };

typedef struct channel_plan {
    int64_t rows;      /* output pixels of the whole batch */
    int64_t chunk;     /* rows whose pointers are found at once */
    int64_t panels;    /* of all groups */
    int64_t items;     /* chunks * panels */
    int32_t gathers;   /* rows are copied */
    int32_t transposes_in, transposes_out;
    /* offsets in a share's scratch, and its size */
    int64_t copies_at, tile_at, share_bytes;
    /* offsets in the common scratch */
    int64_t input_at, shares_at;
} channel_plan;

static channel_plan plan_channels(const sq_conv_f32* c, int64_t team) {
    const int64_t taps = sq_volume(c->window.kernel), n = c->out_channels / c->groups, mr = c->row->mr;
    channel_plan p = {.rows = c->batch * sq_volume(c->window.out), .chunk = 16 * mr};
    p.panels = c->groups * sq_conv_ceil(n, c->row->nr);
    while (p.chunk > mr && team > 1 && sq_conv_ceil(p.rows, p.chunk) * p.panels < 4 * team) p.chunk -= mr;
    p.items = sq_conv_ceil(p.rows, p.chunk) * p.panels;
    p.gathers = taps > 1 && c->channels / c->groups < FEW_CHANNELS;
    p.transposes_in = !c->nhwc && sq_volume(c->window.in) > 1;
    p.transposes_out = !c->nhwc && sq_volume(c->window.out) > 1;
    p.copies_at = sq_conv_align(p.chunk * taps * (int64_t)sizeof(float*));
    p.tile_at = p.copies_at + (p.gathers ? sq_conv_align(p.chunk * sq_conv_f32_k(c) * (int64_t)sizeof(float)) : 0);
    p.share_bytes = p.tile_at + (p.transposes_out ? sq_conv_align(p.chunk * c->row->nr * (int64_t)sizeof(float)) : 0);
    p.input_at = sq_conv_align(c->channels * (int64_t)sizeof(float)); /* first comes the line of zeros: padding */
    p.shares_at = p.input_at;
    if (p.transposes_in)
        p.shares_at += sq_conv_align(c->batch * c->channels * sq_volume(c->window.in) * (int64_t)sizeof(float));
    return p;
}

/* pointers[tap * count + i]: the channels that output pixel m0 + i reads under that tap. */
static void point_rows(const sq_conv_f32* c, const float* x, const float* zeros, int64_t m0, int64_t count,
                       const float** pointers) {
    const sq_window* w = &c->window;
    const int64_t out = sq_volume(w->out), in = sq_volume(w->in);
    if (sq_window_is_point(w)) {
        for (int64_t i = 0; i < count; i++) pointers[i] = x + (m0 + i) * c->channels;
        return;
    }
    for (int64_t i = 0; i < count; i++) {
        int64_t at[3];
        sq_coordinates((m0 + i) % out, w->out, at);
        sq_window_pointers(w, (const char*)(x + (m0 + i) / out * in * c->channels),
                           c->channels * (int64_t)sizeof(float), zeros, at, (const void**)(pointers + i), count);
    }
}

/* The taps of one line of the window, x0 being the first one's input: out [taps][channels], zeros in the padding.
 * `line`: channel 0 of the group in the input line's first pixel, or NULL. */
static void gather_line(const sq_conv_f32* c, const float* line, int64_t x0, int64_t channels, float* out) {
    const sq_window* w = &c->window;
    const int64_t taps = w->kernel[2], step = w->dilation[2];
    const int whole = line && x0 >= 0 && x0 + (taps - 1) * step < w->in[2];
    if (whole && step == 1 && c->groups == 1) {
        memcpy(out, line + x0 * c->channels, (size_t)(taps * channels) * sizeof(float));
        return;
    }
    for (int64_t t = 0, x = x0; t < taps; t++, x += step)
        for (int64_t j = 0; j < channels; j++)
            *out++ = line && x >= 0 && x < w->in[2] ? line[x * c->channels + j] : 0.0f;
}

/* The k values that output pixels m0 .. m0 + count read of a group, row by row. */
static void gather_rows(const sq_conv_f32* c, const float* x, int64_t m0, int64_t count, int64_t group,
                        float* copies) {
    const sq_window* w = &c->window;
    const int64_t channels = c->channels / c->groups, out = sq_volume(w->out);
    for (int64_t i = 0; i < count; i++) {
        int64_t at[3];
        const float* image = x + (m0 + i) / out * sq_volume(w->in) * c->channels + group * channels;
        sq_coordinates((m0 + i) % out, w->out, at);
        const int64_t x0 = at[2] * w->stride[2] - w->pad[2];
        for (int64_t kz = 0; kz < w->kernel[0]; kz++)
            for (int64_t ky = 0; ky < w->kernel[1]; ky++, copies += w->kernel[2] * channels) {
                const int64_t z = at[0] * w->stride[0] + kz * w->dilation[0] - w->pad[0];
                const int64_t y = at[1] * w->stride[1] + ky * w->dilation[1] - w->pad[1];
                const int inside = z >= 0 && z < w->in[0] && y >= 0 && y < w->in[1];
                gather_line(c, inside ? image + (z * w->in[1] + y) * w->in[2] * c->channels : NULL, x0, channels,
                            copies);
            }
    }
}

/* tile [count][width] to y [image][channel][pixel] for pixels m0.. of the batch and `width` channels from `channel`. */
static void scatter_tile(const sq_conv_f32* c, const float* tile, int64_t m0, int64_t count, int64_t width,
                         int64_t channel, float* y) {
    const int64_t out = sq_volume(c->window.out);
    for (int64_t i = 0; i < count;) {
        int64_t image = (m0 + i) / out, pixel = (m0 + i) % out, run = sq_f32_min(count - i, out - pixel);
        float* to = y + (image * c->out_channels + channel) * out + pixel;
        for (int64_t j = 0; j < width; j++)
            for (int64_t r = 0; r < run; r++) to[j * out + r] = tile[(i + r) * width + j];
        i += run;
    }
}

/* One panel over a chunk whose pointers (or copies) are ready; the tile's a, a_stride, a_offset, taps, kc are set. */
static void run_channel_panel(const sq_conv_f32_job* job, sq_f32_tile t, int64_t group, int64_t panel, int64_t count,
                              float* out) {
    const sq_packed_f32* w = job->packed;
    const float* const* a = t.a;
    const int64_t column = panel * w->row->nr, width = sq_f32_panel_width(w, panel), taps = t.taps, kc = t.kc;
    const int64_t offset = t.a_offset;
    /* A block of K is some whole taps, or, in the only tap, some channels. */
    const int64_t fit = count > w->row->mr ? sq_f32_block_k(width) : w->k;
    const int64_t block_taps = taps == 1 ? 1 : fit / kc > 1 ? fit / kc : 1;
    const int64_t block_kc = taps == 1 ? fit : kc;
    t.ldb = width;
    t.n = (int32_t)sq_f32_min(w->n - column, w->row->nr);
    for (int64_t k0 = 0; k0 < w->k; k0 += t.taps * t.kc) {
        const int64_t tap = k0 / kc;
        t.taps = sq_f32_min(block_taps, taps - tap);
        t.kc = sq_f32_min(block_kc, kc - k0 % kc);
        t.a_offset = offset + k0 % kc;
        t.b = sq_f32_panel(w, group, panel) + k0 * width;
        t.accumulate = k0 > 0;
        const int final = k0 + t.taps * t.kc == w->k;
        t.bounds = final ? job->bounds : NULL;
        t.col_bias = final && job->bias ? job->bias + group * w->n + column : NULL;
        for (int64_t i = 0; i < count; i += t.m) {
            t.m = (int32_t)sq_f32_min(w->row->mr, count - i);
            t.a = a + tap * t.a_stride + i;
            t.c = out + i * t.ldc;
            w->row->tile(&t);
        }
    }
}

/* Items first..last of one share, which owns `scratch`. */
static void run_channel_items(const sq_conv_f32_job* job, const channel_plan* p, int64_t first, int64_t last,
                              char* scratch) {
    const sq_conv_f32* c = job->conv;
    const int64_t taps = sq_volume(c->window.kernel), channels = c->channels / c->groups, k = taps * channels;
    const int64_t n = c->out_channels / c->groups, group_panels = p->panels / c->groups;
    const float** pointers = (const float**)scratch;
    float* copies = (float*)(scratch + p->copies_at);
    float* tile = (float*)(scratch + p->tile_at);
    const float* x = p->transposes_in ? (const float*)(job->scratch + p->input_at) : job->x;
    int64_t ready_chunk = -1, ready_group = -1;
    for (int64_t item = first; item < last; item++) {
        const int64_t chunk = item / p->panels, group = item % p->panels / group_panels, panel = item % group_panels;
        const int64_t m0 = chunk * p->chunk, count = sq_f32_min(p->chunk, p->rows - m0);
        const int64_t column = group * n + panel * c->row->nr;
        sq_f32_tile t = {.a = pointers, .a_stride = count, .a_offset = group * channels, .taps = taps, .kc = channels};
        if (chunk != ready_chunk || (p->gathers && group != ready_group)) {
            if (p->gathers) {
                gather_rows(c, x, m0, count, group, copies);
                for (int64_t i = 0; i < count; i++) pointers[i] = copies + i * k;
            } else {
                point_rows(c, x, (const float*)job->scratch, m0, count, pointers);
            }
            ready_chunk = chunk;
            ready_group = group;
        }
        if (p->gathers) t.taps = 1, t.kc = k, t.a_offset = 0;
        t.ldc = p->transposes_out ? sq_f32_min(n - panel * c->row->nr, c->row->nr) : c->out_channels;
        run_channel_panel(job, t, group, panel, count,
                          p->transposes_out ? tile : job->y + m0 * c->out_channels + column);
        if (p->transposes_out) scatter_tile(c, tile, m0, count, t.ldc, column, job->y);
    }
}

static void run_channels(const void* arg, long long begin, long long end) {
    const sq_conv_f32_job* job = (const sq_conv_f32_job*)arg;
    const channel_plan p = plan_channels(job->conv, job->team);
    for (long long share = begin; share < end; share++)
        run_channel_items(job, &p, sq_conv_share(p.items, share, job->team),
                          sq_conv_share(p.items, share + 1, job->team),
                          job->scratch + p.shares_at + share * p.share_bytes);
}

/* x [batch][channels][pixels] to scratch [batch][pixels][channels]; a share takes some pixels of the batch. */
static void transpose_input(const void* arg, long long begin, long long end) {
    const sq_conv_f32_job* job = (const sq_conv_f32_job*)arg;
    const sq_conv_f32* c = job->conv;
    const int64_t in = sq_volume(c->window.in), pixels = c->batch * in;
    float* out = (float*)(job->scratch + plan_channels(c, job->team).input_at);
    for (int64_t p = sq_conv_share(pixels, begin, job->team); p < sq_conv_share(pixels, end, job->team); p++) {
        const float* from = job->x + p / in * c->channels * in + p % in;
        for (int64_t j = 0; j < c->channels; j++) out[p * c->channels + j] = from[j * in];
    }
}

#endif
