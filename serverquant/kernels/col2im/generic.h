/* The loops, written once and included for every instruction set with SQ_SUFFIX set: the compiler vectorises them. */
#define SQ_NAME(op) SQ_CONCAT(sq_##op, SQ_SUFFIX)

/* y[i * stride] += c[i] */
static void SQ_NAME(add_line)(float* y, const float* c, int64_t count, int64_t stride) {
    if (stride == 1) {
#pragma GCC ivdep
        for (int64_t i = 0; i < count; i++) y[i] += c[i];
    } else {
        for (int64_t i = 0; i < count; i++) y[i * stride] += c[i];
    }
}

/* One tap's columns into (or out of, if `gather`) a plane. */
static void SQ_NAME(tap_of_plane)(const sq_window* w, const int64_t tap[3], float* cols, float* plane, int gather) {
    int64_t first[3], last[3], shift[3];
    for (int a = 0; a < 3; a++) sq_columns_inside(w, a, tap[a], first + a, last + a, shift + a);
    const int64_t count = last[2] - first[2], stride = w->stride[2];
    if (gather) memset(cols, 0, (size_t)sq_volume(w->out) * sizeof(float));
    for (int64_t oz = first[0]; oz < last[0]; oz++)
        for (int64_t oy = first[1]; oy < last[1]; oy++) {
            float* c = cols + (oz * w->out[1] + oy) * w->out[2] + first[2];
            const int64_t z = oz * w->stride[0] + shift[0], y = oy * w->stride[1] + shift[1];
            float* line = plane + (z * w->in[1] + y) * w->in[2] + first[2] * stride + shift[2];
            if (gather)
                for (int64_t i = 0; i < count; i++) c[i] = line[i * stride];
            else
                SQ_NAME(add_line)(line, c, count, stride);
        }
}

static void SQ_NAME(col2im_planes_f32)(const void* arg, long long begin, long long end) {
    const sq_col2im_job job = *(const sq_col2im_job*)arg;
    const sq_window* w = job.window;
    const int64_t taps = sq_volume(w->kernel), columns = sq_volume(w->out), pixels = sq_volume(w->in);
    for (long long plane = begin; plane < end; plane++) {
        const float start = job.bias ? ((const float*)job.bias)[plane % (job.groups * job.channels)] : 0.0f;
        float* y = (float*)job.y + plane * pixels;
        for (int64_t i = 0; i < pixels; i++) y[i] = start;
        for (int64_t t = 0; t < taps; t++) {
            int64_t tap[3];
            sq_coordinates(t, w->kernel, tap);
            SQ_NAME(tap_of_plane)(w, tap, (float*)job.cols + (plane * taps + t) * columns, y, 0);
        }
    }
}

static void SQ_NAME(im2col_planes_f32)(const void* arg, long long begin, long long end) {
    const sq_col2im_job job = *(const sq_col2im_job*)arg;
    const sq_window* w = job.window;
    const int64_t taps = sq_volume(w->kernel), columns = sq_volume(w->out), pixels = sq_volume(w->in);
    for (long long plane = begin; plane < end; plane++)
        for (int64_t t = 0; t < taps; t++) {
            int64_t tap[3];
            sq_coordinates(t, w->kernel, tap);
            SQ_NAME(tap_of_plane)(w, tap, (float*)job.cols + (plane * taps + t) * columns,
                                  (float*)job.y + plane * pixels, 1);
        }
}

#define SQ_VALUE float
#define SQ_TYPED(op) SQ_NAME(op##_f32)
#include "pixels.h"

#define SQ_VALUE uint32_t
#define SQ_TYPED(op) SQ_NAME(op##_s32)
#include "pixels.h"

static void SQ_NAME(im2col_pixels_f32)(const void* arg, long long begin, long long end) {
    const sq_col2im_job job = *(const sq_col2im_job*)arg;
    const sq_window* w = job.window;
    const int64_t taps = sq_volume(w->kernel), columns = sq_volume(w->out);
    const size_t pixel = (size_t)job.channels * sizeof(float);
    for (long long item = begin; item < end; item++) {
        int64_t at[3];
        const float* image = (float*)job.y + item / columns * sq_volume(w->in) * job.channels;
        float* col = (float*)job.cols + item * taps * job.channels;
        sq_coordinates(item % columns, w->out, at);
        for (int64_t t = 0; t < taps; t++, col += job.channels) {
            int64_t tap[3], from = 0;
            sq_coordinates(t, w->kernel, tap);
            for (int a = 0; a < 3 && from >= 0; a++) {
                const int64_t i = at[a] * w->stride[a] + tap[a] * w->dilation[a] - w->pad[a];
                from = i < 0 || i >= w->in[a] ? -1 : from * w->in[a] + i;
            }
            if (from < 0)
                memset(col, 0, pixel);
            else
                memcpy(col, image + from * job.channels, pixel);
        }
    }
}

#undef SQ_NAME
#undef SQ_SUFFIX
