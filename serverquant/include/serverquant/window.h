/* The geometry of convolutions and pools in one to three dimensions, and planes cut into phases. */
#ifndef SERVERQUANT_WINDOW_H
#define SERVERQUANT_WINDOW_H

#include <stdint.h>

/* Depth, height, width; an axis that is not there has size, kernel, stride, dilation 1 and pad 0.
 * Tap k of output o reads input o * stride + k * dilation - pad. */
typedef struct sq_window {
    int64_t in[3], out[3], kernel[3], stride[3], dilation[3], pad[3];
} sq_window;

static inline int64_t sq_volume(const int64_t v[3]) { return v[0] * v[1] * v[2]; }

/* Splits a row-major index over sizes[3] into its three coordinates. */
static inline void sq_coordinates(int64_t index, const int64_t sizes[3], int64_t at[3]) {
    at[2] = index % sizes[2];
    at[1] = index / sizes[2] % sizes[1];
    at[0] = index / sizes[2] / sizes[1];
}

/* The input offset, in pixels, that tap `tap` of output `at` reads; -1 in the padding. */
static inline int64_t sq_window_source(const sq_window* w, const int64_t at[3], const int64_t tap[3]) {
    int64_t offset = 0;
    for (int a = 0; a < 3; a++) {
        int64_t i = at[a] * w->stride[a] + tap[a] * w->dilation[a] - w->pad[a];
        if (i < 0 || i >= w->in[a]) return -1;
        offset = offset * w->in[a] + i;
    }
    return offset;
}

/* 1 if every output reads just the input pixel at its own place: no copies needed. */
static inline int sq_window_is_point(const sq_window* w) {
    for (int a = 0; a < 3; a++)
        if (w->kernel[a] != 1 || w->stride[a] != 1 || w->pad[a] || w->in[a] != w->out[a]) return 0;
    return 1;
}

/* One channel's plane, padded and sorted by (z mod stride, y mod stride, x mod stride). In that form every tap of a
 * strided window is the same plane at a fixed offset, so that outputs are one long row:
 *     flat[q] = over taps: phases[tap_offset + q],  q = (oz * size[1] + oy) * size[2] + ox,  0 <= q < length.
 * The flat row has gaps where windows wrap around a line; they are left out when it is copied to the output. */
typedef struct sq_phases {
    int64_t size[3];  /* of one phase */
    int64_t total;    /* elements of all phases */
    int64_t length;   /* elements of the flat row */
    int32_t direct;   /* 1: the plane itself is its only phase, nothing to copy */
    int32_t packed;   /* 1: the flat row has no gaps: it is the output plane */
} sq_phases;

static inline sq_phases sq_phases_of(const sq_window* w) {
    sq_phases p = {.total = 1, .direct = 1};
    for (int a = 0; a < 3; a++) {
        p.size[a] = w->out[a] + (w->kernel[a] - 1) * w->dilation[a] / w->stride[a];
        p.total *= p.size[a] * w->stride[a];
        if (w->stride[a] != 1 || w->pad[a] || p.size[a] != w->in[a]) p.direct = 0;
    }
    p.length = ((w->out[0] - 1) * p.size[1] + w->out[1] - 1) * p.size[2] + w->out[2];
    p.packed = p.size[2] == w->out[2] && (p.size[1] == w->out[1] || w->out[0] == 1);
    return p;
}

/* Where tap `tap` of output 0 lies in the phases. */
static inline int64_t sq_phases_tap(const sq_phases* p, const sq_window* w, const int64_t tap[3]) {
    int64_t phase = 0, offset = 0;
    for (int a = 0; a < 3; a++) {
        int64_t i = tap[a] * w->dilation[a];
        phase = phase * w->stride[a] + i % w->stride[a];
        offset = offset * p->size[a] + i / w->stride[a];
    }
    return phase * sq_volume(p->size) + offset;
}

/* The elements of an input line that lie in phase `r` of axis 2: phase elements first <= i < last are input
 * elements i * stride + r - pad. */
static inline void sq_phases_line(const sq_phases* p, const sq_window* w, int64_t r, int64_t* first, int64_t* last) {
    int64_t stride = w->stride[2], shift = w->pad[2] - r;
    *first = shift > 0 ? (shift + stride - 1) / stride : 0;
    *last = w->in[2] + shift <= 0 ? 0 : (w->in[2] - 1 + shift) / stride + 1;
    if (*last > p->size[2]) *last = p->size[2];
    if (*first > *last) *first = *last;
}

/* Fills one plane's phases; `fill` is the value of the padding. */
#define SQ_PHASES_FILL(name, type)                                                                                 \
    static void name(const sq_phases* p, const sq_window* w, const type* plane, type fill, type* out) {           \
        for (int64_t phase = 0; phase < sq_volume(w->stride); phase++) {                                          \
            int64_t r[3], first, last;                                                                             \
            sq_coordinates(phase, w->stride, r);                                                                   \
            sq_phases_line(p, w, r[2], &first, &last);                                                             \
            for (int64_t z = 0; z < p->size[0]; z++) {                                                             \
                int64_t iz = z * w->stride[0] + r[0] - w->pad[0];                                                  \
                for (int64_t y = 0; y < p->size[1]; y++, out += p->size[2]) {                                      \
                    int64_t iy = y * w->stride[1] + r[1] - w->pad[1], i = 0;                                       \
                    if (iz >= 0 && iz < w->in[0] && iy >= 0 && iy < w->in[1]) {                                    \
                        const type* line = plane + (iz * w->in[1] + iy) * w->in[2] + r[2] - w->pad[2];             \
                        for (; i < first; i++) out[i] = fill;                                                      \
                        if (w->stride[2] == 1)                                                                     \
                            memcpy(out + i, line + i, (size_t)(last - i) * sizeof(type));                          \
                        else                                                                                       \
                            for (int64_t j = i; j < last; j++) out[j] = line[j * w->stride[2]];                    \
                        i = last;                                                                                  \
                    }                                                                                              \
                    for (; i < p->size[2]; i++) out[i] = fill;                                                     \
                }                                                                                                  \
            }                                                                                                      \
        }                                                                                                          \
    }

#endif
