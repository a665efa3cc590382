/* NCHW: the lanes are pixels. A plane is padded and sorted into phases (window.h), so that its outputs are one long
 * row. Float planes with few outputs would leave the lanes empty: there a lane is a plane. */
#ifndef SERVERQUANT_POOL_PLANES_H
#define SERVERQUANT_POOL_PLANES_H

#include <float.h>
#include <string.h>

#include "share.h"

SQ_PHASES_FILL(fill_phases_f32, float)
SQ_PHASES_FILL(fill_phases_u8, uint8_t)

/* Float planes of so few outputs are pooled side by side. */
enum { FEW_OUTPUTS = 8, BESIDE = 16 };

static int planes_beside(const sq_pool* p, int32_t kind) {
    return kind <= SQ_AVERAGE_F32 && sq_volume(p->window.out) < FEW_OUTPUTS;
}

/* Byte offsets of a share's scratch. */
typedef struct plane_layout {
    sq_phases phases;
    int64_t phases_at, flat_at, offset_at, scale_at, bytes;
} plane_layout;

static plane_layout plan_planes(const sq_pool* p) {
    plane_layout l = {.phases = sq_phases_of(&p->window)};
    const int64_t words = (int64_t)sizeof(float);
    const int64_t beside = BESIDE * sq_volume(p->window.in);
    l.phases_at = sq_pool_align(sq_volume(p->window.kernel) * (int64_t)sizeof(void*));
    int64_t phases = planes_beside(p, SQ_MAX_F32) && beside > l.phases.total ? beside : l.phases.total;
    l.flat_at = l.phases_at + sq_pool_align(phases * words) + 64;
    l.offset_at = l.flat_at + sq_pool_align((l.phases.length > BESIDE ? l.phases.length : BESIDE) * words) + 64;
    l.scale_at = l.offset_at + sq_pool_align(p->window.out[2] * words) + 64;
    l.bytes = l.scale_at + sq_pool_align(p->window.out[2] * words) + 64;
    return l;
}

/* Offset and scale of each output of a line of which every output sees `n` lines' worth along the outer axes. */
static void line_factors(const sq_pool_job* job, int64_t n, int32_t* offset, float* scale) {
    const sq_window* w = &job->pool->window;
    for (int64_t x = 0; x < w->out[2]; x++) {
        int64_t first, count = n * clip(w, 2, x, &first);
        if (job->kind == SQ_AVERAGE_F32) {
            scale[x] = 1.0f / (float)(job->include_pad ? sq_volume(w->kernel) : count);
        } else {
            offset[x] = (int32_t)(job->x_zero * count);
            scale[x] = job->ratio / (float)count;
        }
    }
}

/* The flat row of sums, line by line, to a plane of the output. */
static void finish_averages(const sq_pool_job* job, const plane_layout* l, char* scratch, int64_t plane) {
    const sq_window* w = &job->pool->window;
    int32_t* offset = (int32_t*)(scratch + l->offset_at);
    float* scale = (float*)(scratch + l->scale_at);
    int64_t ready = -1, to = plane * sq_volume(w->out), first;
    for (int64_t z = 0; z < w->out[0]; z++)
        for (int64_t y = 0; y < w->out[1]; y++, to += w->out[2]) {
            const int64_t from = (z * l->phases.size[1] + y) * l->phases.size[2];
            const int64_t n = clip(w, 0, z, &first) * clip(w, 1, y, &first);
            if (n != ready) line_factors(job, n, offset, scale);
            ready = n;
            if (job->kind == SQ_AVERAGE_F32)
                job->pool->row->scale_f32((float*)(scratch + l->flat_at) + from, scale, w->out[2], (float*)job->y + to);
            else
                round_sums(job, (int32_t*)(scratch + l->flat_at) + from, offset, scale, 1, w->out[2],
                           (uint8_t*)job->y + to);
        }
}

/* The flat row without its gaps. */
static void copy_lines(const sq_window* w, const sq_phases* p, const char* flat, int64_t element, char* y) {
    for (int64_t z = 0; z < w->out[0]; z++)
        for (int64_t i = 0; i < w->out[1]; i++, y += w->out[2] * element)
            memcpy(y, flat + (z * p->size[1] + i) * p->size[2] * element, (size_t)(w->out[2] * element));
}

/* Pools one plane whose phases begin at `phases`. */
static void pool_plane(const sq_pool_job* job, const plane_layout* l, const char* phases, int64_t plane, char* scratch) {
    const sq_window* w = &job->pool->window;
    const sq_pool_row* row = job->pool->row;
    const int64_t taps = sq_volume(w->kernel), length = l->phases.length, out = sq_volume(w->out);
    const int64_t element = job->kind <= SQ_AVERAGE_F32 ? (int64_t)sizeof(float) : 1;
    const char** pointers = (const char**)scratch;
    char* flat = scratch + l->flat_at;
    for (int64_t t = 0; t < taps; t++) {
        int64_t tap[3];
        sq_coordinates(t, w->kernel, tap);
        pointers[t] = phases + sq_phases_tap(&l->phases, w, tap) * element;
    }
    if (job->kind == SQ_MAX_F32)
        row->max_f32((const float* const*)pointers, taps, length, (float*)flat);
    else if (job->kind == SQ_AVERAGE_F32)
        row->sum_f32((const float* const*)pointers, taps, length, 1.0f, (float*)flat);
    else if (job->kind == SQ_MAX_U8)
        row->max_u8((const uint8_t* const*)pointers, taps, length, job->low, (uint8_t*)flat);
    else
        row->sum_u8((const uint8_t* const*)pointers, taps, length, (int32_t*)flat);
    if (job->kind == SQ_MAX_F32 || job->kind == SQ_MAX_U8)
        copy_lines(w, &l->phases, flat, element, (char*)job->y + plane * out * element);
    else
        finish_averages(job, l, scratch, plane);
}

static void pool_planes(const sq_pool_job* job, int64_t first, int64_t last, char* scratch) {
    const sq_window* w = &job->pool->window;
    const plane_layout l = plan_planes(job->pool);
    const int64_t in = sq_volume(w->in);
    char* phases = scratch + l.phases_at;
    for (int64_t plane = first; plane < last; plane++) {
        if (job->kind <= SQ_AVERAGE_F32) {
            const float* x = (const float*)job->x + plane * in;
            if (!l.phases.direct)
                fill_phases_f32(&l.phases, w, x, job->kind == SQ_MAX_F32 ? -FLT_MAX : 0.0f, (float*)phases);
            pool_plane(job, &l, l.phases.direct ? (const char*)x : phases, plane, scratch);
        } else {
            const uint8_t* x = (const uint8_t*)job->x + plane * in;
            if (!l.phases.direct) fill_phases_u8(&l.phases, w, x, 0, (uint8_t*)phases);
            pool_plane(job, &l, l.phases.direct ? (const char*)x : phases, plane, scratch);
        }
    }
}

/* One output pixel of BESIDE planes whose inputs stand side by side in `beside`. */
static void pool_beside(const sq_pool_job* job, const float* beside, const int64_t at[3], const float** pointers,
                        float* out) {
    const sq_window* w = &job->pool->window;
    int64_t first[3], count[3], n = 0;
    for (int a = 0; a < 3; a++) count[a] = clip(w, a, at[a], &first[a]);
    for (int64_t z = 0; z < count[0]; z++)
        for (int64_t y = 0; y < count[1]; y++)
            for (int64_t x = 0; x < count[2]; x++)
                pointers[n++] = beside + (((first[0] + z) * w->in[1] + first[1] + y) * w->in[2] + first[2] + x) * BESIDE;
    if (job->kind == SQ_MAX_F32)
        job->pool->row->max_f32(pointers, n, BESIDE, out);
    else
        job->pool->row->sum_f32(pointers, n, BESIDE, 1.0f / (float)(job->include_pad ? sq_volume(w->kernel) : n), out);
}

/* Blocks first..last of BESIDE planes each. */
static void pool_blocks(const sq_pool_job* job, int64_t first, int64_t last, char* scratch) {
    const sq_window* w = &job->pool->window;
    const plane_layout l = plan_planes(job->pool);
    const int64_t in = sq_volume(w->in), out = sq_volume(w->out), planes = job->pool->batch * job->pool->channels;
    float* beside = (float*)(scratch + l.phases_at);
    float* pooled = (float*)(scratch + l.flat_at);
    for (int64_t block = first; block < last; block++) {
        const int64_t count = sq_pool_min(BESIDE, planes - block * BESIDE);
        const float* x = (const float*)job->x + block * BESIDE * in;
        float* y = (float*)job->y + block * BESIDE * out;
        for (int64_t i = 0; i < in; i++)
            for (int64_t j = 0; j < BESIDE; j++) beside[i * BESIDE + j] = j < count ? x[j * in + i] : 0.0f;
        for (int64_t o = 0; o < out; o++) {
            int64_t at[3];
            sq_coordinates(o, w->out, at);
            pool_beside(job, beside, at, (const float**)scratch, pooled);
            for (int64_t j = 0; j < count; j++) y[j * out + o] = pooled[j];
        }
    }
}

#endif
