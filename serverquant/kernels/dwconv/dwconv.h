/* Depthwise convolution: every channel is convolved with its own taps. u8 x s8 -> s32 -> the epilogues of gemm.h.
 *
 *     acc[m, c] = sum over taps of x[m, tap, c] * (w[c, tap] - zw[c]) + bias[c]     (modulo 2^32; bias is folded)
 *
 * Rows are pointers to the channels of one input pixel, from an sq_source with copies == 0. Reads: the C channels of a
 * row, C entries of bias, multiplier and bias_f32, nothing beyond.
 */
#ifndef SERVERQUANT_DWCONV_H
#define SERVERQUANT_DWCONV_H

#include "../gemm/gemm.h"

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

enum { SQ_DW_CHUNK = 96 /* pixels whose pointers are made at once */ };

static inline int64_t sq_dw_scratch(const sq_packed* w) {
    return ((int64_t)SQ_DW_CHUNK * w->taps * (int64_t)sizeof(void*) + 127) / 64 * 64;
}

int sq_dw_rows(void);
const sq_dw_row* sq_dw_row_at(int index);
int64_t sq_dw_packed_bytes(const sq_dw_row* row, int32_t channels, int32_t taps);
void sq_dw_pack(const sq_dw_row* row, const int8_t* weights, const int32_t* zero_points, int32_t channels, int32_t taps,
                int8_t* out);

/* Pixels m0..m1 of a job whose packed->groups channels have one weight row each. */
void sq_dw_block(const sq_gemm_job* job, int64_t m0, int64_t m1, uint8_t* scratch);

#endif
