/* fp32 convolution in 1 to 3 dimensions: one chain of fused multiply-adds an output element, as in gemm_f32.h.
 *
 *     acc = +0;  for taps (row-major) { for channels of the group { acc = fma(w, x, acc) } };  y = acc + bias, within the bounds
 *
 * A tap in the padding multiplies a zero. NCHW and NHWC, every form below, every instruction set and every team give
 * the same bytes.
 *
 * x and y: [batch][channels][pixels] (NCHW) or [batch][pixels][channels] (NHWC), aligned to 4 bytes; x is read up to
 * 64 bytes past its end.
 */
#ifndef SERVERQUANT_CONV_F32_H
#define SERVERQUANT_CONV_F32_H

#include "../gemm_f32/gemm_f32.h"
#include "serverquant/window.h"

/* What a lane of a vector is, and so how weights are packed. k = (tap, channel of the group), channels innermost. */
enum {
    SQ_CONV_F32_PIXELS = 0,    /* NCHW: panels of pixels are gathered; weights [groups * n][k] */
    SQ_CONV_F32_CHANNELS = 1,  /* output channels; weights as sq_packed_f32 panels; NCHW is transposed first */
    SQ_CONV_F32_DEPTHWISE = 2, /* one input channel a group; weights [channels][taps] (NCHW), [taps][channels] (NHWC) */
    SQ_CONV_F32_PLANES = 3     /* one group, few outputs: pixels, taps and channels at offsets; weights [n][k] */
};

/* Output lines of a plane at once: those of most nets have a multiple of 7. Planes larger than SQ_NEAR_FLOATS lie in no
 * near cache, and the lines of a block are too many and too short for the CPU to foresee. */
enum { SQ_LINES = 7, SQ_NEAR_FLOATS = 2048 };

/* Asks for `count` floats that will be read soon; they need not exist. */
static inline void sq_prefetch_floats(const float* p, int64_t count) {
    for (int64_t i = 0; i < count; i += 16) __builtin_prefetch(p + i);
}

typedef void (*sq_some_lines)(const float* const* x, const sq_window* window, const float* w, const float* bias,
                              const sq_bounds* bounds, float* out);

typedef void (*sq_some_outputs)(const float* x, const int64_t* offset, int64_t taps, const float* w, const float* bias,
                                const sq_bounds* bounds, int64_t length, float* out, int64_t pitch);

/* A run of pixels of a line: `count` outputs from `at` on that read consecutive (times the stride) inputs, or padding. */
typedef struct sq_pixel_run {
    int32_t at, count;
    int64_t source; /* offset in the input plane; -1: padding */
} sq_pixel_run;

typedef struct sq_depthwise_f32_row {
    const char* name;
    int32_t isa;
    int32_t lanes;
    /* out[q] = chain over taps of w[t] * (x + offset[t])[q], + *bias unless NULL, within the bounds, for 0 <= q < length.
     * Reads and writes whole vectors: up to 60 bytes past the end. */
    void (*flat)(const float* x, const int64_t* offset, int64_t taps, const float* w, const float* bias, const sq_bounds* bounds,
                 int64_t length, float* out);
    /* Likewise for 2, 3 and 4 outputs at once: w[n][taps], bias[n], out[n * pitch + q]. Writes nothing beside them. */
    sq_some_outputs outputs[3];
    /* Likewise for three lines of outputs, `pitch` apart in x and out, whose window has `lines` >= 3 lines of `taps`
     * taps that also are `pitch` apart. Writes nothing beside the outputs. */
    void (*three_lines)(const float* x, const int64_t* offset, int64_t taps, int64_t lines, int64_t pitch,
                        const float* w, const float* bias, const sq_bounds* bounds, int64_t length, float* out);
    /* out[c] = chain over taps of w[t * length + c] * x[t][c], + bias[c] unless NULL, within the bounds, for 0 <= c < length.
     * Reads whole vectors. */
    void (*channels)(const float* const* x, int64_t taps, const float* w, const float* bias, const sq_bounds* bounds,
                     int64_t length, float* out);
    /* A plane whose window is 3x3 with strides 1 or 2. zeros: in[2] of them. Touches nothing beside the planes. */
    void (*lines)(const float* x, const float* zeros, const sq_window* window, const float* w, const float* bias,
                  const sq_bounds* bounds, float* y);
    /* With stride 1 and 2: the runs, in ascending order, of so many planes of x, one after another, to rows of `width`.
     * Writes whole vectors, up to 60 bytes past the end; reads as many for stride 1. */
    void (*gather[2])(const sq_pixel_run* runs, int count, const float* x, int64_t plane, int64_t planes, float* out,
                      int64_t width);
} sq_depthwise_f32_row;

typedef struct sq_conv_f32 {
    sq_window window;
    int64_t batch, channels, out_channels, groups;
    int32_t nhwc;
    int32_t form;
    const sq_gemm_f32_row* row;
    const sq_depthwise_f32_row* depthwise;
} sq_conv_f32;

typedef struct sq_conv_f32_job {
    const sq_conv_f32* conv;
    const sq_packed_f32* packed;
    const float* bias; /* out_channels values, or NULL */
    const sq_bounds* bounds; /* or NULL */
    const float* x;
    float* y;
    char* scratch;     /* sq_conv_f32_scratch() bytes, aligned to 64 */
    int64_t team;
} sq_conv_f32_job;

static inline int64_t sq_conv_f32_k(const sq_conv_f32* c) {
    return sq_volume(c->window.kernel) * (c->channels / c->groups);
}

int sq_depthwise_f32_rows(void);
const sq_depthwise_f32_row* sq_depthwise_f32_row_at(int index);

int32_t sq_conv_f32_choose_form(const sq_conv_f32* conv);
int64_t sq_conv_f32_scratch(const sq_conv_f32* conv, int64_t team);

/* Once, on the calling thread, before the steps: what all shares need. */
void sq_conv_f32_prepare(const sq_conv_f32_job* job);
/* Shares begin..end of `team`. first_step: the transposition that SQ_CONV_F32_CHANNELS needs in NCHW, or NULL. */
typedef void (*sq_conv_f32_step)(const void* job, long long begin, long long end);
sq_conv_f32_step sq_conv_f32_first_step(const sq_conv_f32* conv);
sq_conv_f32_step sq_conv_f32_main_step(const sq_conv_f32* conv);

#endif
