/* Depthwise convolution: every channel is convolved with its own taps. u8 x s8 -> s32 -> the epilogues of gemm.h.
 *
 *     acc[m, c] = sum over taps of x[m, tap, c] * (w[c, tap] - zw[c]) + bias[c]     (modulo 2^32; bias is folded)
 *
 * Rows are pointers to the channels of one input pixel, from an sq_source with copies == 0. Reads: the C channels of a
 * row, C entries of bias, multiplier and bias_f32, nothing beyond.
 */
#ifndef SERVERQUANT_DWCONV_H
#define SERVERQUANT_DWCONV_H

#include "../conv/conv.h"

/* One block of channels over a run of pixels. */
typedef struct sq_dw_tile {
    const uint8_t* const* a;    /* pixel i, tap t: the block's channels at a[t * a_stride + i] + offset */
    int64_t a_stride, offset;
    const int8_t* w;            /* the block's weights */
    const int32_t* zero_points; /* NULL: all 0, or already in the weights */
    const sq_epilogue* ep;
    void* c;                    /* pixel 0, first channel of the block */
    int64_t ldc, column;        /* elements between pixels of c; first channel: index into the epilogue's arrays */
    int32_t taps, pixels, n;    /* n <= block channels exist */
} sq_dw_tile;

typedef struct sq_dw_row {
    const char* name;
    int32_t isa;
    int32_t block;  /* channels */
    void (*tile)(const sq_dw_tile*);
    /* Bytes of one block's weights; packing of channels c0 .. c0 + n of weights[C][taps]. */
    int64_t (*block_bytes)(int32_t taps);
    void (*pack)(const int8_t* weights, const int32_t* zero_points, int32_t taps, int32_t c0, int32_t n, int8_t* out);
} sq_dw_row;

enum {
    SQ_DW_CHUNK = 96, /* pixels whose pointers are made at once */
    SQ_DW_FEW = 32    /* weights of at most so many channels are packed for flat.h, repeated over sq_dw_period() */
};

/* The least common multiple of the channels and the row's block. */
static inline int64_t sq_dw_period(const sq_dw_row* row, int64_t channels) {
    int64_t a = row->block, b = channels;
    while (b) {
        int64_t rest = a % b;
        a = b, b = rest;
    }
    return row->block / a * channels;
}

static inline int64_t sq_dw_scratch(const sq_packed* w) {
    return ((int64_t)SQ_DW_CHUNK * w->taps * (int64_t)sizeof(void*) + 127) / 64 * 64;
}

int sq_dw_rows(void);
const sq_dw_row* sq_dw_row_at(int index);
int64_t sq_dw_packed_bytes(const sq_dw_row* row, int32_t channels, int32_t taps);
void sq_dw_pack(const sq_dw_row* row, const int8_t* weights, const int32_t* zero_points, int32_t channels, int32_t taps,
                int8_t* out);

/* Images of few channels, by flat.h instead. */
typedef struct sq_dw_flat_job {
    const sq_conv_geometry* geometry;
    const sq_packed* packed;
    const sq_epilogue* ep;
    int32_t x_zero_point; /* the padding */
    const uint8_t* x;
    void* y;
    uint8_t* scratch;     /* sq_dw_flat_scratch() bytes for each share, aligned to 64 */
    int64_t team;
} sq_dw_flat_job;

/* 1: the form for these weights and sizes, whatever the batch. */
int sq_dw_flat_fits(const sq_conv_geometry* geometry, const sq_packed* packed);
int64_t sq_dw_flat_scratch(const sq_conv_geometry* geometry, const sq_packed* packed);

/* Shares begin..end of `team`. */
void sq_dw_flat_range(const void* job, long long begin, long long end);

/* Pixels m0..m1 of a job whose packed->groups channels have one weight row each. */
void sq_dw_block(const sq_gemm_job* job, int64_t m0, int64_t m1, uint8_t* scratch);

#endif
