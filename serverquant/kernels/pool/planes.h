/* NCHW: the lanes are pixels. A plane is padded and sorted into phases (window.h), so that its outputs are one long
 * row. An NHWC image of few channels is such a plane too, whose pixels have several elements. Large planes are taken in
 * bands of lines, or of columns where there is one line, which stay in the cache and give every thread something.
 * Planes with few outputs would leave the lanes empty: there a lane is a plane. */
#ifndef SERVERQUANT_POOL_PLANES_H
#define SERVERQUANT_POOL_PLANES_H

#include <float.h>
#include <string.h>

#include "share.h"

SQ_PHASES_FILL(fill_phases_f32, float, sq_every_second_f32)
SQ_PHASES_FILL(fill_phases_u8, uint8_t, sq_every_second_u8)

/* NHWC images of smaller pixels than this are taken as planes; planes of so few outputs are pooled side by side. */
enum { FEW_PIXEL_BYTES = 128, FEW_OUTPUTS = 8, BESIDE = 16, BAND_ELEMENTS = 8 * 1024, BAND_LINES = 4 };
/* Bands of a single line have no lines in common to copy twice, but the image's ends need factors of their own. */
enum { LINE_ELEMENTS = 4 * 1024 };
/* Averages of planes whose flat row is no longer keep the factors of all its outputs, else those of one line. */
enum { SMALL_PLANE = 1024 };

static int64_t element_bytes(int32_t kind) { return kind <= SQ_AVERAGE_F32 ? (int64_t)sizeof(float) : 1; }
static int takes_planes(const sq_pool* p, int32_t kind) {
    return !p->nhwc ||
           (p->channels * element_bytes(kind) < FEW_PIXEL_BYTES && sq_volume(p->window.out) >= FEW_OUTPUTS);
}
static int64_t plane_elements(const sq_pool* p) { return p->nhwc ? p->channels : 1; }
static int64_t planes_of(const sq_pool* p) { return p->nhwc ? p->batch : p->batch * p->channels; }
static int planes_beside(const sq_pool* p) {
    return plane_elements(p) == 1 && planes_of(p) > 1 && sq_volume(p->window.out) < FEW_OUTPUTS;
}

/* The axis that bands are cut along: 2 for a single line. */
static int band_axis(const sq_pool* p) {
    const sq_window* w = &p->window;
    for (int a = 0; a < 2; a++)
        if (w->in[a] != 1 || w->out[a] != 1 || w->kernel[a] != 1 || w->pad[a]) return 1;
    return 2;
}

/* Outputs of a band along its axis: all of them in three dimensions; at least 1, also where there is nothing to do. */
static int64_t band_outputs(const sq_pool* p) {
    const sq_window* w = &p->window;
    const int axis = band_axis(p);
    const int64_t line = axis == 2 ? 1 : sq_phases_of(w, plane_elements(p)).size[2] * w->stride[2];
    const int64_t elements = axis == 2 ? LINE_ELEMENTS : BAND_ELEMENTS;
    const int64_t wanted = elements / (line * w->stride[axis] * plane_elements(p) + 1);
    const int64_t fit = wanted < BAND_LINES ? BAND_LINES : wanted, all = w->out[axis] > 1 ? w->out[axis] : 1;
    return w->out[0] > 1 || fit > all ? all : fit;
}
static int64_t bands_of(const sq_pool* p) {
    const int64_t outputs = band_outputs(p);
    return (p->window.out[band_axis(p)] + outputs - 1) / outputs;
}

/* What a share needs for its planes; the arrays lie in its scratch. */
typedef struct plane_state {
    sq_window window;       /* of a band */
    sq_phases phases;       /* of a band */
    int64_t taps;
    int64_t* tap_offset;    /* of each tap in the phases, in elements */
    const char** pointers;  /* of each tap in a plane's phases */
    char* padded;           /* a band's phases, or BESIDE planes side by side */
    char* flat;             /* the row of outputs, with gaps; sums have 4 bytes */
    int32_t* offset;        /* of the outputs of one line, of which each sees `lines` lines' worth; small planes: */
    float* scale;           /* of the whole flat row, gaps included */
    int64_t lines;          /* -1: not set yet, or for one band only */
    int32_t axis, bands;    /* of a plane */
    int32_t small;          /* 1: see SMALL_PLANE */
    int32_t borders;        /* 1: `padded` does not hold the padding yet */
    int64_t bytes;          /* of scratch */
} plane_state;

/* Along its axis a band writes outputs first + skip .. first + window.out; the last band overlaps. */
typedef struct plane_band {
    int64_t plane, first[3], skip[3];
} plane_band;

static plane_band band_at(const sq_pool* p, const plane_state* s, int64_t item) {
    const int64_t size = s->window.out[s->axis], wanted = item % s->bands * size;
    plane_band b = {.plane = item / s->bands};
    b.first[s->axis] = sq_pool_min(wanted, p->window.out[s->axis] - size);
    b.skip[s->axis] = wanted - b.first[s->axis];
    return b;
}

static char* take(char* base, int64_t* at, int64_t bytes) {
    char* here = base + *at;
    *at += sq_pool_align(bytes) + 64; /* vectors may run over */
    return here;
}

static plane_state plan_planes(const sq_pool* p, char* scratch) {
    plane_state s = {.window = p->window, .taps = sq_volume(p->window.kernel), .axis = band_axis(p)};
    s.window.out[s.axis] = band_outputs(p);
    if (sq_phases_of(&p->window, plane_elements(p)).direct)
        s.window.in[s.axis] = s.window.out[s.axis] + s.window.kernel[s.axis] - 1;
    s.phases = sq_phases_of(&s.window, plane_elements(p));
    s.bands = (int32_t)bands_of(p);
    s.small = s.bands == 1 && s.phases.length <= SMALL_PLANE;
    s.borders = 1;
    const int64_t words = (int64_t)sizeof(float);
    const int64_t line = s.small ? s.phases.length : s.window.out[2] * plane_elements(p);
    int64_t padded = s.phases.total, flat = s.phases.length;
    if (planes_beside(p) && padded < BESIDE * sq_volume(p->window.in)) padded = BESIDE * sq_volume(p->window.in);
    if (flat < BESIDE) flat = BESIDE;
    s.tap_offset = (int64_t*)take(scratch, &s.bytes, s.taps * (int64_t)sizeof(int64_t));
    s.pointers = (const char**)take(scratch, &s.bytes, s.taps * (int64_t)sizeof(char*));
    s.padded = take(scratch, &s.bytes, padded * words);
    s.flat = take(scratch, &s.bytes, flat * words);
    s.offset = (int32_t*)take(scratch, &s.bytes, line * words);
    s.scale = (float*)take(scratch, &s.bytes, line * words);
    s.lines = -1;
    return s;
}

static plane_state start_planes(const sq_pool* p, char* scratch) {
    plane_state s = plan_planes(p, scratch);
    for (int64_t t = 0; t < s.taps; t++) {
        int64_t tap[3];
        sq_coordinates(t, s.window.kernel, tap);
        s.tap_offset[t] = sq_phases_tap(&s.phases, &s.window, tap);
    }
    return s;
}

/* Offset and scale of each output of a band's line, from column `column` on, that sees `lines` lines' worth along the
 * outer axes. */
static void set_factors(const sq_pool_job* job, const plane_state* s, int64_t column, int64_t lines, int32_t* offset,
                        float* factor) {
    const int64_t inner = s->phases.inner;
    for (int64_t x = 0; x < s->window.out[2]; x++) {
        int64_t first, count = lines * clip(&job->pool->window, 2, column + x, &first);
        const int64_t divisor = job->kind == SQ_AVERAGE_F32 && job->include_pad ? job->pool->whole : count;
        const float scale = (job->kind == SQ_AVERAGE_F32 ? 1.0f : job->ratio) / (float)divisor;
        for (int64_t i = 0; i < inner; i++) {
            offset[x * inner + i] = (int32_t)(job->x_zero * count);
            factor[x * inner + i] = scale;
        }
    }
}

/* The factors of a small plane's flat row; in its gaps they are 0. */
static void set_all_factors(const sq_pool_job* job, plane_state* s) {
    const sq_window* w = &job->pool->window;
    int64_t first;
    memset(s->offset, 0, (size_t)s->phases.length * sizeof(int32_t));
    memset(s->scale, 0, (size_t)s->phases.length * sizeof(float));
    for (int64_t z = 0; z < w->out[0]; z++)
        for (int64_t y = 0; y < w->out[1]; y++) {
            const int64_t at = (z * s->phases.size[1] + y) * s->phases.size[2] * s->phases.inner;
            set_factors(job, s, 0, clip(w, 0, z, &first) * clip(w, 1, y, &first), s->offset + at, s->scale + at);
        }
}

/* `length` sums, whose factors begin at `at`, to averages of the output's type; bytes may overwrite their sums. */
static void finish_sums(const sq_pool_job* job, const plane_state* s, const void* sums, int64_t at, int64_t length,
                        void* out) {
    if (job->kind == SQ_AVERAGE_F32)
        job->pool->row->scale_f32((const float*)sums, s->scale + at, length, (float*)out);
    else
        round_sums(job, (const int32_t*)sums, s->offset + at, s->scale + at, 1, length, (uint8_t*)out);
}

/* Where line (z, y) of a band begins, behind what is skipped: in its flat row and in the output, in elements. */
static int64_t flat_line(const plane_state* s, const plane_band* b, int64_t z, int64_t y) {
    return ((z * s->phases.size[1] + y) * s->phases.size[2] + b->skip[2]) * s->phases.inner;
}
static int64_t output_line(const sq_pool* p, const plane_state* s, const plane_band* b, int64_t z, int64_t y) {
    const int64_t* out = p->window.out;
    return (((b->plane * out[0] + z) * out[1] + b->first[1] + y) * out[2] + b->first[2] + b->skip[2]) * s->phases.inner;
}

/* 1 for a band of columns of which some see less than the whole kernel: its factors serve no other band. */
static int is_edge(const sq_window* w, const plane_state* s, const plane_band* b) {
    int64_t first;
    return s->axis == 2 && (clip(w, 2, b->first[2], &first) < w->kernel[2] ||
                            clip(w, 2, b->first[2] + s->window.out[2] - 1, &first) < w->kernel[2]);
}

/* A band's flat row of sums, line by line, to the output. */
static void finish_averages(const sq_pool_job* job, plane_state* s, const plane_band* b) {
    const sq_window* w = &job->pool->window;
    const int64_t skip = b->skip[2] * s->phases.inner, line = s->window.out[2] * s->phases.inner - skip;
    const int edge = is_edge(w, s, b);
    int64_t first;
    for (int64_t z = 0; z < w->out[0]; z++)
        for (int64_t y = b->skip[1]; y < s->window.out[1]; y++) {
            const int64_t lines = clip(w, 0, z, &first) * clip(w, 1, b->first[1] + y, &first);
            if (lines != s->lines || edge) set_factors(job, s, b->first[2], lines, s->offset, s->scale);
            s->lines = edge ? -1 : lines;
            finish_sums(job, s, (const int32_t*)s->flat + flat_line(s, b, z, y), skip, line,
                        (char*)job->y + output_line(job->pool, s, b, z, y) * element_bytes(job->kind));
        }
}

/* A band's flat row, without its gaps, to the output. */
static void copy_lines(const sq_pool_job* job, const plane_state* s, const plane_band* b) {
    const int64_t element = element_bytes(job->kind);
    const int64_t line = (s->window.out[2] - b->skip[2]) * s->phases.inner * element;
    for (int64_t z = 0; z < job->pool->window.out[0]; z++)
        for (int64_t y = b->skip[1]; y < s->window.out[1]; y++)
            sq_copy_short((char*)job->y + output_line(job->pool, s, b, z, y) * element,
                          s->flat + flat_line(s, b, z, y) * element, line);
}

/* The kind's operation over `taps` pointers to `length` elements; averages: the sums. */
static void reduce_taps(const sq_pool_job* job, const char* const* x, int64_t taps, int64_t length, void* out) {
    const sq_pool_row* row = job->pool->row;
    if (job->kind == SQ_MAX_F32)
        row->max_f32((const float* const*)x, taps, length, (float*)out);
    else if (job->kind == SQ_AVERAGE_F32)
        row->sum_f32((const float* const*)x, taps, length, 1.0f, (float*)out);
    else if (job->kind == SQ_MAX_U8)
        row->max_u8((const uint8_t* const*)x, taps, length, job->low, (uint8_t*)out);
    else
        row->sum_u8((const uint8_t* const*)x, taps, length, (int32_t*)out);
}

/* The phases of a band whose first outputs are `first`; x: the plane. */
static const char* pad_band(const sq_pool_job* job, plane_state* s, const char* x, const int64_t first[3]) {
    sq_window w = s->window;
    if (s->phases.direct)
        return x + (first[1] * w.in[2] + first[2]) * s->phases.inner * element_bytes(job->kind);
    w.pad[s->axis] -= first[s->axis] * w.stride[s->axis];
    if (element_bytes(job->kind) == 1)
        fill_phases_u8(&s->phases, &w, (const uint8_t*)x, 0, s->borders, (uint8_t*)s->padded);
    else
        fill_phases_f32(&s->phases, &w, (const float*)x, job->kind == SQ_MAX_F32 ? -FLT_MAX : 0.0f, s->borders,
                        (float*)s->padded);
    s->borders = s->bands > 1; /* every plane has the same, but not every band */
    return s->padded;
}

/* Bands begin..end, counted over all planes. */
static void pool_planes(const sq_pool_job* job, int64_t begin, int64_t end, char* scratch) {
    plane_state s = start_planes(job->pool, scratch);
    const int64_t element = element_bytes(job->kind);
    const int largest = job->kind == SQ_MAX_F32 || job->kind == SQ_MAX_U8;
    if (s.small && !largest) set_all_factors(job, &s);
    const int64_t plane_bytes = sq_volume(job->pool->window.in) * s.phases.inner * element;
    for (int64_t item = begin; item < end; item++) {
        const plane_band b = band_at(job->pool, &s, item);
        const char* phases = pad_band(job, &s, (const char*)job->x + b.plane * plane_bytes, b.first);
        for (int64_t t = 0; t < s.taps; t++) s.pointers[t] = phases + s.tap_offset[t] * element;
        reduce_taps(job, s.pointers, s.taps, s.phases.length, s.flat);
        if (s.small && !largest) finish_sums(job, &s, s.flat, 0, s.phases.length, s.flat);
        if (s.small || largest)
            copy_lines(job, &s, &b);
        else
            finish_averages(job, &s, &b);
    }
}

/* x [count planes][in] to out [in][BESIDE]; lanes without a plane take the first one's values. */
#define STAND_BESIDE(name, type)                                                              \
    static void name(const type* x, int64_t in, int64_t count, type* out) {                   \
        const type* plane[BESIDE];                                                             \
        for (int64_t j = 0; j < BESIDE; j++) plane[j] = x + (j < count ? j * in : 0);          \
        for (int64_t i = 0; i < in; i++, out += BESIDE)                                        \
            _Pragma("GCC unroll 16") for (int64_t j = 0; j < BESIDE; j++) out[j] = plane[j][i]; \
    }
STAND_BESIDE(stand_beside_f32, float)
STAND_BESIDE(stand_beside_u8, uint8_t)

/* One output pixel of BESIDE planes: BESIDE values of the output's type. */
static void pool_beside(const sq_pool_job* job, plane_state* s, const int64_t at[3], void* out) {
    const sq_window* w = &job->pool->window;
    const int64_t pixel = BESIDE * element_bytes(job->kind);
    int64_t first[3], count[3], n = 0;
    for (int a = 0; a < 3; a++) count[a] = clip(w, a, at[a], &first[a]);
    for (int64_t z = first[0]; z < first[0] + count[0]; z++)
        for (int64_t y = first[1]; y < first[1] + count[1]; y++)
            for (int64_t x = first[2]; x < first[2] + count[2]; x++)
                s->pointers[n++] = s->padded + ((z * w->in[1] + y) * w->in[2] + x) * pixel;
    if (job->kind == SQ_MAX_F32 || job->kind == SQ_MAX_U8) {
        reduce_taps(job, s->pointers, n, BESIDE, out);
        return;
    }
    const int32_t offset = (int32_t)(job->x_zero * n);
    reduce_taps(job, s->pointers, n, BESIDE, s->flat);
    if (job->kind == SQ_AVERAGE_F32) {
        const float scale = 1.0f / (float)(job->include_pad ? job->pool->whole : n);
        for (int j = 0; j < BESIDE; j++) ((float*)out)[j] = ((const float*)s->flat)[j] * scale;
    } else {
        const float scale = job->ratio / (float)n;
        round_sums(job, (const int32_t*)s->flat, &offset, &scale, 0, BESIDE, (uint8_t*)out);
    }
}

/* Blocks begin..end of BESIDE planes each. */
static void pool_blocks(const sq_pool_job* job, int64_t begin, int64_t end, char* scratch) {
    const sq_window* w = &job->pool->window;
    plane_state s = plan_planes(job->pool, scratch);
    const int64_t in = sq_volume(w->in), out = sq_volume(w->out), element = element_bytes(job->kind);
    for (int64_t block = begin; block < end; block++) {
        const int64_t count = sq_pool_min(BESIDE, planes_of(job->pool) - block * BESIDE);
        char* y = (char*)job->y + block * BESIDE * out * element;
        const char* x = (const char*)job->x + block * BESIDE * in * element;
        if (element == 1)
            stand_beside_u8((const uint8_t*)x, in, count, (uint8_t*)s.padded);
        else
            stand_beside_f32((const float*)x, in, count, (float*)s.padded);
        for (int64_t o = 0; o < out; o++) {
            _Alignas(64) char pooled[BESIDE * sizeof(float)];
            int64_t at[3];
            sq_coordinates(o, w->out, at);
            pool_beside(job, &s, at, pooled);
            for (int64_t j = 0; j < count; j++)
                memcpy(y + (j * out + o) * element, pooled + j * element, (size_t)element);
        }
    }
}

#endif
