/* Convolution of channels-last u8 images: which bytes of the input each row of the matrix product consists of. */
#ifndef SERVERQUANT_CONV_H
#define SERVERQUANT_CONV_H

#include "../gemm/gemm.h"

/* Three spatial dimensions, slowest first; 1-D and 2-D have leading ones.
 * x [batch][in 0][in 1][in 2][in_channels], y [batch][out 0][out 1][out 2][out_channels]. */
typedef struct sq_conv_geometry {
    int64_t batch;
    int32_t in[3], out[3], kernel[3], stride[3], dilation[3];
    int32_t pad[3]; /* before the first element; what lies behind the last one follows from out */
    int32_t groups, in_channels, out_channels;
} sq_conv_geometry;

typedef struct sq_conv_source {
    sq_source base;
    const sq_conv_geometry* geometry;
    const uint8_t* x;
    const uint8_t* padding; /* in_channels bytes of the input's zero point */
    int32_t channels;       /* of one (merged) group, as packed */
} sq_conv_source;

static inline int64_t sq_conv_taps(const sq_conv_geometry* g) {
    return (int64_t)g->kernel[0] * g->kernel[1] * g->kernel[2];
}

static inline int64_t sq_conv_pixels(const sq_conv_geometry* g) {
    return g->batch * g->out[0] * g->out[1] * g->out[2];
}

/* The rows are the input itself: 1x1, stride 1, no padding. */
static inline int sq_conv_is_plain(const sq_conv_geometry* g) {
    for (int i = 0; i < 3; i++)
        if (g->kernel[i] != 1 || g->stride[i] != 1 || g->pad[i] != 0 || g->in[i] != g->out[i]) return 0;
    return 1;
}

/* A source that points at the taps (kc = channels), or one that gathers them (kc = taps * channels). */
void sq_conv_source_init(sq_conv_source* source, const sq_conv_geometry* geometry, const sq_packed* weight,
                         const uint8_t* x, const uint8_t* padding);

#endif
