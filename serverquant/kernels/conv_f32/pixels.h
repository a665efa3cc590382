/* NCHW: the lanes are pixels. A panel of input pixels, gathered for a tile of outputs unless the window is one pixel,
 * is multiplied by all weights:
 *     y[group's channels][pixels of the tile] = weights [n][k] x panel [k][pixels of the tile]
 */
#ifndef SERVERQUANT_CONV_F32_PIXELS_H
#define SERVERQUANT_CONV_F32_PIXELS_H

#include <string.h>

#include "share.h"

/* How the outputs of one image and group are cut. */
typedef struct pixel_plan {
    int64_t vectors;   /* of the output plane */
    int64_t tiles;     /* pieces of whole vectors, at most nr wide */
    int64_t parts;     /* pieces of the output channels, where there are too few tiles for the team */
    int64_t items;     /* batch * groups * tiles * parts */
    int64_t block;     /* rows of a panel, that is, of a block of K */
} pixel_plan;

static pixel_plan plan_pixels(const sq_conv_f32* c, int64_t team) {
    const int64_t lanes = c->row->lanes, images = c->batch * c->groups, n = c->out_channels / c->groups;
    pixel_plan p = {.vectors = sq_conv_ceil(sq_volume(c->window.out), lanes), .parts = 1};
    const int empty = images * p.vectors == 0;
    p.tiles = sq_conv_ceil(p.vectors, c->row->nr / lanes);
    if (!empty && images * p.tiles < team)
        p.parts = sq_f32_min(sq_conv_ceil(n, c->row->mr), sq_conv_ceil(team, images * p.tiles));
    if (!empty && images * p.tiles * p.parts < team)
        p.tiles = sq_f32_min(p.vectors, sq_conv_ceil(team, images * p.parts));
    p.items = images * p.tiles * p.parts;
    p.block = sq_f32_min(sq_conv_f32_k(c), sq_f32_block_k(c->row->nr));
    return p;
}

enum { MAX_RUNS = 64 }; /* every run has a pixel, and no tile has more */

/* One line's outputs x0 <= ox < x1 under tap kx: padding, inside, padding. `line`: offset of the input line, or -1. */
static int add_line(const sq_window* w, int64_t line, int64_t kx, int64_t x0, int64_t x1, int32_t at,
                    sq_pixel_run* runs) {
    const int64_t stride = w->stride[2], shift = kx * w->dilation[2] - w->pad[2];
    int64_t first = x0, last = x0;
    if (line >= 0) {
        while (first < x1 && first * stride + shift < 0) first++;
        last = x1;
        while (last > first && (last - 1) * stride + shift >= w->in[2]) last--;
    }
    int n = 0;
    if (first > x0 && last > first) runs[n++] = (sq_pixel_run){at, (int32_t)(first - x0), -1};
    if (last > first)
        runs[n++] = (sq_pixel_run){at + (int32_t)(first - x0), (int32_t)(last - first), line + first * stride + shift};
    else
        last = x0;
    if (x1 > last) runs[n++] = (sq_pixel_run){at + (int32_t)(last - x0), (int32_t)(x1 - last), -1};
    return n;
}

/* The runs of outputs p0 <= p < p1 under one tap. */
static int list_runs(const sq_window* w, const int64_t tap[3], int64_t p0, int64_t p1, sq_pixel_run* runs) {
    int n = 0;
    for (int64_t p = p0; p < p1;) {
        int64_t at[3], line = 0;
        sq_coordinates(p, w->out, at);
        for (int a = 0; a < 2 && line >= 0; a++) {
            int64_t i = at[a] * w->stride[a] + tap[a] * w->dilation[a] - w->pad[a];
            line = i < 0 || i >= w->in[a] ? -1 : line * w->in[a] + i;
        }
        int64_t count = sq_f32_min(w->out[2] - at[2], p1 - p);
        n += add_line(w, line < 0 ? -1 : line * w->in[2], tap[2], at[2], at[2] + count, (int32_t)(p - p0), runs + n);
        p += count;
    }
    return n;
}

/* What the rows' own gather does, for any stride. */
static void gather_far(const sq_pixel_run* runs, int count, const float* x, int64_t plane, int64_t planes,
                       int64_t stride, float* out, int64_t width) {
    for (int64_t j = 0; j < planes; j++, x += plane, out += width)
        for (int r = 0; r < count; r++)
            for (int32_t i = 0; i < runs[r].count; i++)
                out[runs[r].at + i] = runs[r].source < 0 ? 0.0f : x[runs[r].source + i * stride];
}

/* Rows k0 <= k < k1 of the panel of pixels p0..p1; `x` is the group's first plane. */
static void gather_panel(const sq_conv_f32* c, const float* x, int64_t p0, int64_t p1, int64_t k0, int64_t k1,
                         int64_t width, float* panel) {
    const sq_window* w = &c->window;
    const int64_t channels = c->channels / c->groups, plane = sq_volume(w->in);
    sq_pixel_run runs[MAX_RUNS];
    for (int64_t k = k0; k < k1;) {
        int64_t tap[3], channel = k % channels;
        sq_coordinates(k / channels, w->kernel, tap);
        int count = list_runs(w, tap, p0, p1, runs);
        const int64_t planes = sq_f32_min(channels - channel, k1 - k);
        if (w->stride[2] > 2)
            gather_far(runs, count, x + channel * plane, plane, planes, w->stride[2], panel, width);
        else
            c->depthwise->gather[w->stride[2] - 1](runs, count, x + channel * plane, plane, planes, panel, width);
        k += planes;
        panel += planes * width;
    }
}

/* Output channels m0 <= m < m1 of the group, pixels p0..p1: one item. */
static void run_pixel_tile(const sq_conv_f32_job* job, const pixel_plan* plan, int64_t image, int64_t group, int64_t p0,
                           int64_t p1, int64_t m0, int64_t m1, float* panel) {
    const sq_conv_f32* c = job->conv;
    const int64_t k = sq_conv_f32_k(c), n = c->out_channels / c->groups, pixels = sq_volume(c->window.out);
    const float* x = job->x + (image * c->channels + group * (c->channels / c->groups)) * sq_volume(c->window.in);
    const float* weights = job->packed->data + group * n * k;
    float* y = job->y + (image * c->out_channels + group * n) * pixels + p0;
    const int point = sq_window_is_point(&c->window);
    const float* rows[SQ_F32_MAX_MR];
    sq_f32_tile t = {.a = rows, .taps = 1, .b = panel, .ldc = pixels, .n = (int32_t)(p1 - p0)};
    t.ldb = point ? pixels : sq_f32_round_up(t.n, c->row->lanes);
    for (int64_t k0 = 0; k0 < k; k0 += t.kc) {
        t.kc = sq_f32_min(plan->block, k - k0);
        t.accumulate = k0 > 0;
        const int final = k0 + t.kc == k;
        t.bounds = final ? job->bounds : NULL;
        if (point)
            t.b = x + k0 * pixels + p0;
        else
            gather_panel(c, x, p0, p1, k0, k0 + t.kc, t.ldb, panel);
        for (int64_t m = m0; m < m1; m += t.m) {
            t.m = (int32_t)sq_f32_min(c->row->mr, m1 - m);
            for (int32_t i = 0; i < t.m; i++) rows[i] = weights + (m + i) * k + k0;
            t.row_bias = final && job->bias ? job->bias + group * n + m : NULL;
            t.c = y + m * pixels;
            c->row->tile(&t);
        }
    }
}

static int64_t pixels_share_bytes(const sq_conv_f32* c, int64_t team) {
    if (sq_window_is_point(&c->window)) return 0;
    return sq_conv_align((plan_pixels(c, team).block * c->row->nr + 16) * (int64_t)sizeof(float));
}

static void run_pixels(const void* arg, long long begin, long long end) {
    const sq_conv_f32_job* job = (const sq_conv_f32_job*)arg;
    const sq_conv_f32* c = job->conv;
    const pixel_plan plan = plan_pixels(c, job->team);
    const int64_t n = c->out_channels / c->groups, mr = c->row->mr, blocks = sq_conv_ceil(n, mr);
    for (long long share = begin; share < end; share++) {
        float* panel = (float*)(job->scratch + share * pixels_share_bytes(c, job->team));
        int64_t last = sq_conv_share(plan.items, share + 1, job->team);
        for (int64_t item = sq_conv_share(plan.items, share, job->team); item < last; item++) {
            int64_t part = item % plan.parts, tile = item / plan.parts % plan.tiles;
            int64_t image = item / plan.parts / plan.tiles;
            run_pixel_tile(job, &plan, image / c->groups, image % c->groups,
                           plan.vectors * tile / plan.tiles * c->row->lanes,
                           sq_f32_min(plan.vectors * (tile + 1) / plan.tiles * c->row->lanes, sq_volume(c->window.out)),
                           blocks * part / plan.parts * mr, sq_f32_min(blocks * (part + 1) / plan.parts * mr, n),
                           panel);
        }
    }
}

#endif
