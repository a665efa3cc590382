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
    int64_t blocks;    /* tiles of rows */
    int64_t chunk;     /* rows whose pointers are found at once */
    int64_t vectors;   /* of a group's outputs */
    int64_t columns;   /* vectors of all groups */
    int64_t by_rows, by_columns; /* the grid of shares */
    int32_t gathers;   /* rows are copied */
    int32_t transposes_in, transposes_out;
    /* offsets in a share's scratch, and its size */
    int64_t copies_at, tile_at, share_bytes;
    /* offsets in the common scratch */
    int64_t input_at, shares_at;
} channel_plan;

/* The grid whose largest share takes the least time: a tile is three cycles a product, and what a share reads comes
 * from afar with some 16 bytes a cycle. */
static void choose_channel_grid(channel_plan* p, int64_t lanes, int64_t team) {
    int64_t best = -1;
    for (int64_t columns = 1; columns <= sq_f32_min(team, p->columns); columns++) {
        const int64_t rows = sq_f32_min(team / columns, p->blocks);
        const int64_t high = sq_conv_ceil(p->blocks, rows), wide = sq_conv_ceil(p->columns, columns);
        const int64_t cost = 12 * high * wide + sq_conv_ceil(p->rows, rows) + wide * lanes;
        if (best >= 0 && cost >= best) continue;
        best = cost;
        p->by_rows = rows;
        p->by_columns = columns;
    }
}

static channel_plan plan_channels(const sq_conv_f32* c, int64_t team) {
    const int64_t taps = sq_volume(c->window.kernel), mr = c->row->mr;
    channel_plan p = {.rows = c->batch * sq_volume(c->window.out), .chunk = 16 * mr};
    p.blocks = sq_conv_ceil(p.rows, mr);
    p.vectors = sq_conv_ceil(c->out_channels / c->groups, c->row->lanes);
    p.columns = c->groups * p.vectors;
    if (p.rows) choose_channel_grid(&p, c->row->lanes, team);
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
        transpose_block(tile + i * width, width, run, width, to, out);
        i += run;
    }
}

/* Outputs column .. column + t.n of a group, which lie in one panel, over a chunk whose pointers (or copies) are ready;
 * the tile's a, a_stride, a_offset, taps, kc are set. */
static void run_channel_panel(const sq_conv_f32_job* job, sq_f32_tile t, int64_t group, int64_t column, int64_t count,
                              float* out) {
    const sq_packed_f32* w = job->packed;
    const float* const* a = t.a;
    const int64_t panel = column / w->row->nr, width = sq_f32_panel_width(w, panel), taps = t.taps, kc = t.kc;
    const int64_t offset = t.a_offset;
    /* A block of K is some whole taps, or, in the only tap, some channels. */
    const int64_t fit = count > w->row->mr ? sq_f32_block_k(width) : w->k;
    const int64_t block_taps = taps == 1 ? 1 : fit / kc > 1 ? fit / kc : 1;
    const int64_t block_kc = taps == 1 ? fit : kc;
    t.ldb = width;
    for (int64_t k0 = 0; k0 < w->k; k0 += t.taps * t.kc) {
        const int64_t tap = k0 / kc;
        t.taps = sq_f32_min(block_taps, taps - tap);
        t.kc = sq_f32_min(block_kc, kc - k0 % kc);
        t.a_offset = offset + k0 % kc;
        t.b = sq_f32_panel(w, group, panel) + k0 * width + column % w->row->nr;
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

/* Rows m0 .. m0 + count, at most a chunk, of vectors first <= v < last; `scratch` is the share's. */
static void run_channel_chunk(const sq_conv_f32_job* job, const channel_plan* p, int64_t m0, int64_t count,
                              int64_t first, int64_t last, char* scratch) {
    const sq_conv_f32* c = job->conv;
    const int64_t taps = sq_volume(c->window.kernel), channels = c->channels / c->groups, k = taps * channels;
    const int64_t n = c->out_channels / c->groups, lanes = c->row->lanes, in_panel = c->row->nr / lanes;
    const float** pointers = (const float**)scratch;
    float* copies = (float*)(scratch + p->copies_at);
    float* tile = (float*)(scratch + p->tile_at);
    const float* x = p->transposes_in ? (const float*)(job->scratch + p->input_at) : job->x;
    int64_t ready_group = -1;
    if (!p->gathers) point_rows(c, x, (const float*)job->scratch, m0, count, pointers);
    for (int64_t v = first, next; v < last; v = next) {
        const int64_t group = v / p->vectors, begin = v % p->vectors;
        const int64_t end = sq_f32_min(p->vectors, (begin / in_panel + 1) * in_panel);
        next = sq_f32_min(last, v - begin + end);
        const int64_t column = begin * lanes, output = group * n + column;
        sq_f32_tile t = {.a = pointers, .a_stride = count, .a_offset = group * channels, .taps = taps, .kc = channels};
        if (p->gathers && group != ready_group) {
            gather_rows(c, x, m0, count, group, copies);
            for (int64_t i = 0; i < count; i++) pointers[i] = copies + i * k;
            ready_group = group;
        }
        if (p->gathers) t.taps = 1, t.kc = k, t.a_offset = 0;
        t.n = (int32_t)sq_f32_min(n - column, (next - v) * lanes);
        t.ldc = p->transposes_out ? t.n : c->out_channels;
        run_channel_panel(job, t, group, column, count,
                          p->transposes_out ? tile : job->y + m0 * c->out_channels + output);
        if (p->transposes_out) scatter_tile(c, tile, m0, count, t.n, output, job->y);
    }
}

static void run_channels(const void* arg, long long begin, long long end) {
    const sq_conv_f32_job* job = (const sq_conv_f32_job*)arg;
    const channel_plan p = plan_channels(job->conv, job->team);
    const int64_t mr = job->conv->row->mr;
    for (int64_t share = begin; share < sq_f32_min(end, p.by_rows * p.by_columns); share++) {
        const int64_t high = share / p.by_columns, wide = share % p.by_columns;
        const int64_t last = sq_f32_min(sq_conv_share(p.blocks, high + 1, p.by_rows) * mr, p.rows);
        for (int64_t m0 = sq_conv_share(p.blocks, high, p.by_rows) * mr; m0 < last; m0 += p.chunk)
            run_channel_chunk(job, &p, m0, sq_f32_min(p.chunk, last - m0), sq_conv_share(p.columns, wide, p.by_columns),
                              sq_conv_share(p.columns, wide + 1, p.by_columns),
                              job->scratch + p.shares_at + share * p.share_bytes);
    }
}

/* x [batch][channels][pixels] to scratch [batch][pixels][channels]; a share takes some pixels of each image. */
static void transpose_input(const void* arg, long long begin, long long end) {
    const sq_conv_f32_job* job = (const sq_conv_f32_job*)arg;
    const sq_conv_f32* c = job->conv;
    const int64_t in = sq_volume(c->window.in), first = sq_conv_share(in, begin, job->team);
    const int64_t count = sq_conv_share(in, end, job->team) - first;
    float* out = (float*)(job->scratch + plan_channels(c, job->team).input_at);
    for (int64_t image = 0; image < c->batch; image++) {
        const int64_t at = image * c->channels * in;
        transpose_block(job->x + at + first, in, c->channels, count, out + at + first * c->channels, c->channels);
    }
}

#endif
