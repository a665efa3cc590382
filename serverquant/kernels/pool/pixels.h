/* NHWC: the lanes are channels; an output pixel is a list of pointers to the input pixels that it sees. */
#ifndef SERVERQUANT_POOL_PIXELS_H
#define SERVERQUANT_POOL_PIXELS_H

#include "share.h"

static int64_t pixel_pointers_bytes(const sq_pool* p) {
    int64_t most = 1;
    for (int a = 0; a < 3; a++) most *= sq_pool_min(p->window.kernel[a], p->window.in[a]);
    return sq_pool_align(most * (int64_t)sizeof(void*));
}

static int64_t pixels_share_bytes(const sq_pool* p) {
    return pixel_pointers_bytes(p) + sq_pool_align(p->channels * (int64_t)sizeof(int32_t)) + 64;
}

/* Pointers to the pixels of `image` that an output sees, which along each axis are first .. first + count, row-major;
 * their number. */
static int64_t list_pixels(const sq_window* w, const char* image, int64_t pixel_bytes, const int64_t first[3],
                           const int64_t count[3], const char** pointers) {
    int64_t n = 0;
    for (int64_t z = first[0]; z < first[0] + count[0]; z++)
        for (int64_t y = first[1]; y < first[1] + count[1]; y++) {
            const char* line = image + ((z * w->in[1] + y) * w->in[2] + first[2]) * pixel_bytes;
            for (int64_t i = 0; i < count[2]; i++) pointers[n++] = line + i * pixel_bytes;
        }
    return n;
}

static void pool_pixel(const sq_pool_job* job, const void* pointers, int64_t n, int64_t pixel, int32_t* sums) {
    const sq_pool* p = job->pool;
    const int64_t c = p->channels;
    const int64_t divisor = job->kind == SQ_AVERAGE_F32 && job->include_pad ? p->whole : n;
    if (job->kind == SQ_MAX_F32) {
        p->row->max_f32(pointers, n, c, (float*)job->y + pixel * c);
    } else if (job->kind == SQ_AVERAGE_F32) {
        p->row->sum_f32(pointers, n, c, 1.0f / (float)divisor, (float*)job->y + pixel * c);
    } else if (job->kind == SQ_MAX_U8) {
        p->row->max_u8(pointers, n, c, job->low, (uint8_t*)job->y + pixel * c);
    } else {
        const int32_t offset = (int32_t)(job->x_zero * n);
        const float scale = job->ratio / (float)n;
        p->row->sum_u8(pointers, n, c, sums);
        round_sums(job, sums, &offset, &scale, 0, c, (uint8_t*)job->y + pixel * c);
    }
}

/* `run` output pixels of a line, `pixel` being the first one's index in the batch. */
static void pool_line(const sq_pool_job* job, int64_t pixel, int64_t run, const char** pointers, int32_t* sums) {
    const sq_pool* p = job->pool;
    const sq_window* w = &p->window;
    const int64_t pixel_bytes = p->channels * (job->kind <= SQ_AVERAGE_F32 ? (int64_t)sizeof(float) : 1);
    const int64_t out = sq_volume(w->out);
    const char* image = (const char*)job->x + pixel / out * sq_volume(w->in) * pixel_bytes;
    int64_t at[3], first[3], count[3], n = 0;
    sq_coordinates(pixel % out, w->out, at);
    for (int a = 0; a < 2; a++) count[a] = clip(w, a, at[a], &first[a]);
    first[2] = count[2] = 0;
    for (int64_t i = 0; i < run; i++) {
        const int64_t last_first = first[2], last_count = count[2];
        count[2] = clip(w, 2, at[2] + i, &first[2]);
        /* Most windows of a line are the one before, moved. */
        if (i && count[2] == last_count)
            for (int64_t t = 0; t < n; t++) pointers[t] += (first[2] - last_first) * pixel_bytes;
        else
            n = list_pixels(w, image, pixel_bytes, first, count, pointers);
        pool_pixel(job, pointers, n, pixel + i, sums);
    }
}

static void pool_pixels(const sq_pool_job* job, int64_t first, int64_t last, char* scratch) {
    const int64_t line = job->pool->window.out[2];
    int32_t* sums = (int32_t*)(scratch + pixel_pointers_bytes(job->pool));
    for (int64_t pixel = first, run; pixel < last; pixel += run) {
        run = sq_pool_min(line - pixel % line, last - pixel);
        pool_line(job, pixel, run, (const char**)scratch, sums);
    }
}

#endif
