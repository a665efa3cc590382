/* The geometry of convolutions and pools in one to three dimensions, and planes cut into phases. */
#ifndef SERVERQUANT_WINDOW_H
#define SERVERQUANT_WINDOW_H

#include <stdint.h>
#include <string.h>

#include "serverquant/copy.h"

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

/* What the taps of output `at` read, row-major, at pointers[0], pointers[step] ...: pixels of `image`, or `padding`. */
static inline void sq_window_pointers(const sq_window* w, const char* image, int64_t pixel_bytes, const void* padding,
                                      const int64_t at[3], const void** pointers, int64_t step) {
    const int64_t x0 = at[2] * w->stride[2] - w->pad[2];
    for (int64_t kz = 0; kz < w->kernel[0]; kz++) {
        const int64_t z = at[0] * w->stride[0] + kz * w->dilation[0] - w->pad[0];
        for (int64_t ky = 0; ky < w->kernel[1]; ky++) {
            const int64_t y = at[1] * w->stride[1] + ky * w->dilation[1] - w->pad[1];
            const int inside = z >= 0 && z < w->in[0] && y >= 0 && y < w->in[1];
            const char* line = image + (z * w->in[1] + y) * w->in[2] * pixel_bytes;
            for (int64_t kx = 0, x = x0; kx < w->kernel[2]; kx++, x += w->dilation[2], pointers += step)
                *pointers = inside && x >= 0 && x < w->in[2] ? line + x * pixel_bytes : padding;
        }
    }
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
    int64_t size[3];  /* pixels of one phase */
    int64_t inner;    /* elements of a pixel: 1, or the channels of an NHWC image, whose plane is the image */
    int64_t total;    /* elements of all phases */
    int64_t length;   /* elements of the flat row */
    int32_t direct;   /* 1: the plane itself is its only phase, nothing to copy */
} sq_phases;

static inline sq_phases sq_phases_of(const sq_window* w, int64_t inner) {
    sq_phases p = {.inner = inner, .total = inner, .direct = 1};
    for (int a = 0; a < 3; a++) {
        p.size[a] = w->out[a] + (w->kernel[a] - 1) * w->dilation[a] / w->stride[a];
        p.total *= p.size[a] * w->stride[a];
        if (w->stride[a] != 1 || w->pad[a] || p.size[a] != w->in[a]) p.direct = 0;
    }
    p.length = (((w->out[0] - 1) * p.size[1] + w->out[1] - 1) * p.size[2] + w->out[2]) * inner;
    return p;
}

/* Where tap `tap` of output 0 lies in the phases, in elements. */
static inline int64_t sq_phases_tap(const sq_phases* p, const sq_window* w, const int64_t tap[3]) {
    int64_t phase = 0, offset = 0;
    for (int a = 0; a < 3; a++) {
        int64_t i = tap[a] * w->dilation[a];
        phase = phase * w->stride[a] + i % w->stride[a];
        offset = offset * p->size[a] + i / w->stride[a];
    }
    return (phase * sq_volume(p->size) + offset) * p->inner;
}

/* The pixels of an input line that lie in phase `r` of axis 2: pixels first <= i < last of the phase are input pixels
 * i * stride + r - pad. */
static inline void sq_phases_line(const sq_phases* p, const sq_window* w, int64_t r, int64_t* first, int64_t* last) {
    int64_t stride = w->stride[2], shift = w->pad[2] - r;
    *first = shift > 0 ? (shift + stride - 1) / stride : 0;
    *last = w->in[2] + shift <= 0 ? 0 : (w->in[2] - 1 + shift) / stride + 1;
    if (*last > p->size[2]) *last = p->size[2];
    if (*first > *last) *first = *last;
}

/* out[i] = in[2 * i]; in[2 * count - 1] may be past the end of what is there. */
static inline void sq_every_second_f32(float* out, const float* in, int64_t count) {
    typedef float v4 __attribute__((vector_size(16)));
    typedef int32_t i4 __attribute__((vector_size(16)));
    int64_t i = 0;
    for (; i + 4 < count; i += 4) {
        v4 a, b, even;
        memcpy(&a, in + 2 * i, 16);
        memcpy(&b, in + 2 * i + 4, 16);
        even = __builtin_shuffle(a, b, (i4){0, 2, 4, 6});
        memcpy(out + i, &even, 16);
    }
    for (; i < count; i++) out[i] = in[2 * i];
}

static inline void sq_every_second_u8(uint8_t* out, const uint8_t* in, int64_t count) {
    typedef uint16_t u8x16 __attribute__((vector_size(16)));
    typedef uint8_t u8x8 __attribute__((vector_size(8)));
    int64_t i = 0;
    for (; i + 8 < count; i += 8) {
        u8x16 pairs;
        memcpy(&pairs, in + 2 * i, 16);
        u8x8 even = __builtin_convertvector(pairs & 0xFF, u8x8);
        memcpy(out + i, &even, 8);
    }
    for (; i < count; i++) out[i] = in[2 * i];
}

/* Fills one plane's phases; `fill` is the value of the padding. borders = 0: it stands there already, from a plane with
 * the same window; then only the plane's own pixels are written. */
#define SQ_PHASES_FILL(name, type, every_second)                                                                   \
    /* `count` pixels, every `stride`-th of `in`. */                                                              \
    static void name##_pixels(type* out, const type* in, int64_t count, int64_t stride, int64_t inner) {          \
        if (stride == 1)                                                                                           \
            sq_copy_short(out, in, count * inner * (int64_t)sizeof(type));                                         \
        else if (stride == 2 && inner == 1)                                                                        \
            every_second(out, in, count);                                                                          \
        else if (inner >= 16)                                                                                      \
            for (int64_t i = 0; i < count; i++)                                                                    \
                sq_copy_short(out + i * inner, in + i * stride * inner, inner * (int64_t)sizeof(type));            \
        else                                                                                                       \
            for (int64_t i = 0; i < count; i++)                                                                    \
                for (int64_t j = 0; j < inner; j++) out[i * inner + j] = in[i * stride * inner + j];               \
    }                                                                                                              \
                                                                                                                   \
    static void name##_constant(type* out, int64_t count, type fill) {                                             \
        for (int64_t i = 0; i < count; i++) out[i] = fill;                                                         \
    }                                                                                                              \
                                                                                                                   \
    /* One line of a phase: pixels first..last come from the input line, NULL where that is padding. */                \
    static inline void name##_line(const sq_phases* p, const sq_window* w, const type* line, int64_t first,            \
                                   int64_t last, int64_t x, type fill, int borders, type* out) {                       \
        const int64_t inner = p->inner;                                                                                \
        if (!line) last = first = 0;                                                                                   \
        if (borders) {                                                                                                 \
            name##_constant(out, first * inner, fill);                                                                 \
            name##_constant(out + last * inner, (p->size[2] - last) * inner, fill);                                    \
        }                                                                                                              \
        name##_pixels(out + first * inner, line ? line + x * inner : line, last - first, w->stride[2], inner);         \
    }                                                                                                                  \
                                                                                                                       \
    static void name(const sq_phases* p, const sq_window* w, const type* plane, type fill, int borders, type* out) {   \
        const int64_t line = p->size[2] * p->inner;                                                                    \
        for (int64_t phase = 0; phase < sq_volume(w->stride); phase++) {                                               \
            int64_t r[3], first, last;                                                                                 \
            sq_coordinates(phase, w->stride, r);                                                                       \
            sq_phases_line(p, w, r[2], &first, &last);                                                                 \
            const int64_t x = first * w->stride[2] + r[2] - w->pad[2];                                                 \
            int64_t z = r[0] - w->pad[0];                                                                              \
            for (int64_t i = 0; i < p->size[0]; i++, z += w->stride[0]) {                                              \
                int64_t y = r[1] - w->pad[1];                                                                          \
                for (int64_t j = 0; j < p->size[1]; j++, y += w->stride[1], out += line) {                             \
                    const int inside = z >= 0 && z < w->in[0] && y >= 0 && y < w->in[1];                               \
                    name##_line(p, w, inside ? plane + (z * w->in[1] + y) * w->in[2] * p->inner : NULL, first, last, x,\
                                fill, borders, out);                                                                   \
                }                                                                                                      \
            }                                                                                                          \
        }                                                                                                              \
    }

#endif
