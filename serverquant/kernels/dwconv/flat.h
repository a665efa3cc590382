/* Depthwise convolution of channels-last images of few channels, which would leave the lanes of the other form empty.
 *
 * An image is padded and sorted into phases (window.h), so that its outputs are one long row of pixels x channels, and
 * every tap is the same row at a fixed offset. The row is cut into blocks as wide as a tile; the channels of a block
 * repeat after sq_dw_period() elements, for which sq_dw_pack() is given the weights over and over. Images are taken in
 * bands of lines, which stay in the cache and give every thread something.
 */
#ifndef SERVERQUANT_DWCONV_FLAT_H
#define SERVERQUANT_DWCONV_FLAT_H

#include <string.h>

#include "dwconv.h"
#include "serverquant/copy.h"
#include "serverquant/window.h"

/* BAND: elements that a band's phases should not exceed. FLAT_BLOCKS: worth it from so many blocks of every pattern. */
enum { BAND = 32 * 1024, BAND_LINES = 4, FLAT_BLOCKS = 2, SLACK = 128 };

SQ_PHASES_FILL(fill_phases, uint8_t, sq_every_second_u8)

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t align(int64_t bytes) { return (bytes + 63) / 64 * 64; }

/* What a share works with; arrays lie in its scratch. */
typedef struct flat_state {
    const sq_dw_row* row;
    sq_window window;      /* of a band */
    sq_phases phases;      /* of a band */
    int64_t lines, bands;  /* output lines of a band; bands of an image */
    int64_t taps, blocks;  /* of the flat row */
    int64_t period;        /* elements after which channels and blocks repeat */
    sq_epilogue ep;        /* with the arrays below */
    int32_t *bias, *zero_points;
    float *multiplier, *bias_f32;
    int64_t* tap_offset;
    const uint8_t** pointers;
    uint8_t* padded;
    uint8_t* flat;
    int64_t bytes;         /* of scratch */
} flat_state;

static void* take(uint8_t* base, int64_t* at, int64_t bytes) {
    void* here = base ? base + *at : NULL; /* NULL: only the sizes are wanted */
    *at += align(bytes) + SLACK;
    return here;
}

static flat_state plan_flat(const sq_conv_geometry* g, const sq_packed* w, uint8_t* scratch) {
    flat_state s = {.row = sq_dw_row_at(w->row), .taps = w->taps};
    for (int a = 0; a < 3; a++) {
        s.window.in[a] = g->in[a], s.window.out[a] = g->out[a], s.window.kernel[a] = g->kernel[a];
        s.window.stride[a] = g->stride[a], s.window.dilation[a] = g->dilation[a], s.window.pad[a] = g->pad[a];
    }
    const int64_t line = sq_phases_of(&s.window, w->groups).size[2] * g->stride[2] * g->stride[1] * w->groups;
    const int64_t fit = BAND / (line + 1) < BAND_LINES ? BAND_LINES : BAND / (line + 1);
    s.lines = g->out[0] > 1 ? g->out[1] : least(fit, g->out[1]);
    s.bands = (g->out[1] + s.lines - 1) / s.lines;
    s.window.out[1] = s.lines;
    s.phases = sq_phases_of(&s.window, w->groups);
    s.period = sq_dw_period(s.row, w->groups);
    s.blocks = (s.phases.length + s.row->block - 1) / s.row->block;
    const int64_t word = sizeof(int32_t), pointer = sizeof(void*);
    s.bias = take(scratch, &s.bytes, s.period * word);
    s.zero_points = take(scratch, &s.bytes, s.period * word);
    s.multiplier = take(scratch, &s.bytes, s.period * word);
    s.bias_f32 = take(scratch, &s.bytes, s.period * word);
    s.tap_offset = take(scratch, &s.bytes, s.taps * (int64_t)sizeof(int64_t));
    s.pointers = take(scratch, &s.bytes, SQ_DW_CHUNK * s.taps * pointer);
    s.padded = take(scratch, &s.bytes, s.phases.total);
    s.flat = take(scratch, &s.bytes, s.blocks * s.row->block * word);
    return s;
}

/* Everything that has an entry a channel, repeated over the period. */
static void repeat_channels(const sq_dw_flat_job* job, flat_state* s) {
    const sq_epilogue* ep = job->ep;
    const sq_packed* w = job->packed;
    for (int64_t i = 0, c = 0; i < s->period; i++, c = c + 1 == w->groups ? 0 : c + 1) {
        s->bias[i] = ep->bias[c];
        if (w->zero_points) s->zero_points[i] = w->zero_points[c];
        if (ep->multiplier) s->multiplier[i] = ep->multiplier[ep->per_column ? c : 0];
        if (ep->bias_f32) s->bias_f32[i] = ep->bias_f32[c];
    }
    s->ep = *ep;
    s->ep.bias = s->bias;
    s->ep.per_column = 1;
    if (ep->multiplier) s->ep.multiplier = s->multiplier;
    if (ep->bias_f32) s->ep.bias_f32 = s->bias_f32;
}

static flat_state start_flat(const sq_dw_flat_job* job, uint8_t* scratch) {
    flat_state s = plan_flat(job->geometry, job->packed, scratch);
    repeat_channels(job, &s);
    for (int64_t t = 0; t < s.taps; t++) {
        int64_t tap[3];
        sq_coordinates(t, s.window.kernel, tap);
        s.tap_offset[t] = sq_phases_tap(&s.phases, &s.window, tap);
    }
    return s;
}

/* The blocks `pattern`, `pattern` + period, ... of the flat row, which have the same channels. */
static void run_pattern(const sq_dw_flat_job* job, flat_state* s, int64_t pattern, int64_t size) {
    const int64_t block = s->row->block, patterns = s->period / block;
    sq_dw_tile t = {.a = s->pointers, .ep = &s->ep, .ldc = s->period, .column = pattern * block};
    t.w = job->packed->data + pattern * s->row->block_bytes((int32_t)s->taps);
    t.zero_points = job->packed->zero_points ? s->zero_points + t.column : NULL;
    t.taps = (int32_t)s->taps;
    t.n = (int32_t)block;
    for (int64_t first = pattern; first < s->blocks; first += t.pixels * patterns) {
        t.pixels = (int32_t)least(SQ_DW_CHUNK, (s->blocks - first + patterns - 1) / patterns);
        t.a_stride = t.pixels;
        for (int64_t tap = 0; tap < s->taps; tap++) {
            const uint8_t* at = s->padded + s->tap_offset[tap] + first * block;
            for (int32_t i = 0; i < t.pixels; i++, at += s->period) s->pointers[tap * t.pixels + i] = at;
        }
        t.c = s->flat + first * block * size;
        s->row->tile(&t);
    }
}

/* The band's flat row, without its gaps, to output lines `first` .. first + lines. */
static void copy_lines(const sq_dw_flat_job* job, const flat_state* s, int64_t image, int64_t first, int64_t size) {
    const sq_conv_geometry* g = job->geometry;
    const int64_t pixel = g->out_channels * size, line = g->out[2] * pixel;
    for (int64_t z = 0; z < g->out[0]; z++)
        for (int64_t y = 0; y < least(s->lines, g->out[1] - first); y++) {
            const int64_t to = (image * g->out[0] + z) * g->out[1] + first + y;
            sq_copy_short((char*)job->y + to * line, s->flat + (z * s->phases.size[1] + y) * s->phases.size[2] * pixel, line);
            sq_rows_done(job->ep, to, to + 1, 0, line / size, line / size);
        }
}

static void run_bands(const sq_dw_flat_job* job, int64_t begin, int64_t end, uint8_t* scratch) {
    const sq_conv_geometry* g = job->geometry;
    const int64_t size = job->ep->kind >= SQ_RAW_S32 ? 4 : 1;
    const int64_t image_bytes = (int64_t)g->in[0] * g->in[1] * g->in[2] * g->in_channels;
    flat_state s = start_flat(job, scratch);
    for (int64_t item = begin; item < end; item++) {
        const int64_t image = item / s.bands, first = item % s.bands * s.lines;
        sq_window band = s.window;
        band.pad[1] -= first * band.stride[1];
        fill_phases(&s.phases, &band, job->x + image * image_bytes, (uint8_t)job->x_zero_point, 1, s.padded);
        for (int64_t pattern = 0; pattern < s.period / s.row->block; pattern++) run_pattern(job, &s, pattern, size);
        copy_lines(job, &s, image, first, size);
    }
}

int sq_dw_flat_fits(const sq_conv_geometry* g, const sq_packed* w) {
    const int64_t outputs = (int64_t)g->out[0] * g->out[1] * g->out[2] * w->groups;
    return w->groups <= SQ_DW_FEW && outputs >= FLAT_BLOCKS * sq_dw_period(sq_dw_row_at(w->row), w->groups);
}

int64_t sq_dw_flat_scratch(const sq_conv_geometry* g, const sq_packed* w) { return align(plan_flat(g, w, NULL).bytes); }

void sq_dw_flat_range(const void* arg, long long begin, long long end) {
    const sq_dw_flat_job* job = (const sq_dw_flat_job*)arg;
    const int64_t items = job->geometry->batch * plan_flat(job->geometry, job->packed, NULL).bands;
    const int64_t bytes = sq_dw_flat_scratch(job->geometry, job->packed);
    for (long long share = begin; share < end; share++)
        run_bands(job, items * share / job->team, items * (share + 1) / job->team, job->scratch + share * bytes);
}

#endif
