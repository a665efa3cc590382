/* u8 activations x s8 weights -> s32 sums -> epilogue. The contract between packing, tiles, driver and callers.
 *
 * For every row m, group g and column c of the group:
 *     acc = sum over k of x[m, g, k] * w[g, c, k]  -  zw[c] * sum over k of x[m, g, k]  +  bias[c]      (modulo 2^32)
 * where `bias` is the folded row of sq_fold(): the layer's bias - zx * colsum(w) + K * zx * zw.
 *
 * Reads: never outside a row's kc bytes, nor outside the N entries of bias, multiplier and bias_f32. Nothing needs an
 * alignment but the packed weights, which sq_pack() writes to a buffer aligned to 64 bytes.
 */
#ifndef SERVERQUANT_GEMM_H
#define SERVERQUANT_GEMM_H

#include <stddef.h>
#include <stdint.h>

#include "serverquant/rows.h"

enum {
    SQ_REQUANT_F32 = 0, /* u8   clamp(rne(float(acc) * m) + zero_point, lo, hi); beyond int32 rne gives INT32_MIN */
    SQ_REQUANT_Q31 = 1, /* u8   the mobile fixed point: sq_q31() + zero_point, clamped to lo..hi */
    SQ_RAW_S32 = 2,     /* s32  acc */
    SQ_DEQUANT_F32 = 3  /* f32  fma(float(acc), m, bias_f32), then max(0, .) if relu */
};

typedef struct sq_epilogue {
    int32_t kind;
    int32_t per_column;       /* 1: multiplier has an entry for every column of every group; 0: one for all */
    const int32_t* bias;      /* the folded row, groups * N entries */
    const float* multiplier;  /* SQ_REQUANT_F32, SQ_DEQUANT_F32 */
    const float* bias_f32;    /* SQ_DEQUANT_F32, groups * N entries; NULL: +0.0 */
    int32_t zero_point, lo, hi;           /* of the output; 0 <= lo <= hi <= 255 */
    int32_t q31_multiplier, q31_shift;    /* from sq_q31_split() */
    int32_t relu;                         /* SQ_DEQUANT_F32 only: the u8 kinds clamp by lo */
    /* What the next operator does to elements begin..end of c, called for each of them once, by the thread that wrote
     * them and while they are in its cache. NULL: nothing. */
    sq_range_fn after;
    const void* after_job;
} sq_epilogue;

/* Calls `after` for columns c0..c1 of rows m0..m1, which are there now. ldc: elements between rows. */
static inline void sq_rows_done(const sq_epilogue* ep, int64_t m0, int64_t m1, int64_t c0, int64_t c1, int64_t ldc) {
    if (!ep->after) return;
    if (c1 - c0 == ldc)
        ep->after(ep->after_job, m0 * ldc, m1 * ldc);
    else
        for (int64_t m = m0; m < m1; m++) ep->after(ep->after_job, m * ldc + c0, m * ldc + c1);
}

/* Weight vectors that keep an int16 pair sum from saturating: the part of the weights beyond the bound (AVX2). */
typedef struct sq_extra {
    int32_t k;      /* first of the four k that the vector multiplies */
    int32_t vector; /* index of the vector among all extra vectors */
} sq_extra;

/* Weights of all groups, packed for one row of the kernel table. */
typedef struct sq_packed {
    /* [groups][panels][kc groups of kr][panel width][kr]; at depth 0 int16 with a kr of 2 */
    const int8_t* data;
    const int32_t* zero_points;    /* groups * n entries; NULL: all are 0, and no row sums are needed */
    int32_t uniform;               /* 1: all zero points are the same */
    const sq_extra* extras;        /* sorted by list, then by k; NULL: none */
    const int32_t* extra_begin;    /* list (panel * nr/lanes + vector of the panel) -> first extra; one more at the end */
    const int8_t* extra_data;
    int64_t group_bytes;
    int32_t row;                   /* index in the kernel table */
    int32_t groups, n;             /* groups, and columns of each */
    int32_t taps, kc;              /* k = taps * kc; kc is a multiple of kr unless taps == 1 */
    int32_t depthwise;             /* 1: packed for kernels/dwconv, whose table `row` indexes */
    int32_t depth;                 /* products of this many steps are added in int16 (AVX2); 0: weights are int16 */
} sq_packed;

/* One output tile: m rows x n columns, n <= nr, m at most as many as the row's accumulators hold; or whole tiles below
 * one another for a row that staggers: so many rows as its tiles have, times a whole number, else one row less a tile. */
typedef struct sq_tile {
    const uint8_t* const* a;       /* row i at a[tap * a_stride + i] + a_offset, kc bytes */
    int64_t a_stride, a_offset;
    int64_t a_step;                /* not 0: only row 0 has pointers, row i lies i * a_step bytes behind it */
    const int8_t* w;               /* the panel */
    const int32_t* row_sums;       /* m entries; NULL: the weights' zero points are 0 */
    const int32_t* zero_points;    /* n entries; NULL: row_sums are times the one that there is */
    const sq_packed* packed;
    const sq_epilogue* ep;
    void* c;                       /* first element of the tile */
    int64_t ldc;                   /* elements between rows of c */
    int64_t column;                /* first column, counted over all groups: index into the epilogue's arrays */
    int32_t panel;                 /* counted over all groups */
    int32_t m, n;
} sq_tile;

typedef struct sq_gemm_row {
    const char* name;
    int32_t isa;
    int32_t mr, nr;        /* largest tile */
    int32_t lanes, kr;     /* columns of one vector; k that are multiplied at once */
    int32_t accumulators;  /* tiles hold at most so many vectors */
    int32_t narrow;        /* 1: pair sums are int16; packing keeps to sq_extra's bound or chooses depth 0 */
    int32_t staggers;      /* 1: tile() takes several tiles at once if n == nr, zero_points is NULL and c are u8 */
    void (*tile)(const sq_tile*);
    /* sums[i] = sum over taps and kc of row i */
    void (*sum_rows)(const uint8_t* const* a, int64_t a_stride, int64_t a_offset, int32_t taps, int32_t kc, int32_t m,
                     int32_t* sums);
} sq_gemm_row;

/* Where the rows of A are. fill() writes pointers for m0 <= m < m1: rows[tap * (m1 - m0) + (m - m0)].
 * It may gather the rows into `copy`, sq_copy_stride(k) bytes each; then it does so for `group` alone. */
typedef struct sq_source {
    void (*fill)(const struct sq_source*, int64_t m0, int64_t m1, int32_t group, const uint8_t** rows, uint8_t* copy);
    int32_t copies;      /* 1: fill() copies, and is called anew for each group; 0: group g lies at + g * kc */
    /* How many rows from m on, at most `most`, lie `step` bytes apart in every tap, with row m's pointers in rows[taps];
     * or minus the number of rows that do not. NULL: not known. */
    int64_t (*run)(const struct sq_source*, int64_t m, int64_t most, const uint8_t** rows);
    int64_t step;
} sq_source;

typedef struct sq_gemm_job {
    const sq_packed* packed;
    const sq_epilogue* ep;
    const sq_source* source;
    void* c;
    int64_t m, ldc;      /* rows; elements between rows of c */
} sq_gemm_job;

enum { SQ_MAX_CHUNK = 384 };

/* Rows that a driver's chunk holds: its A stays in the cache while all panels pass. A multiple of 24. */
static inline int64_t sq_chunk_rows(int64_t k) {
    int64_t fit = (128 * 1024) / (k > 0 ? k : 1) / 24 * 24;
    return fit < 24 ? 24 : fit > SQ_MAX_CHUNK ? SQ_MAX_CHUNK : fit;
}

/* Bytes between gathered rows of k bytes. */
static inline int64_t sq_copy_stride(int64_t k) { return (k + 15) / 16 * 16; }

/* Bytes of scratch that each thread of a job needs. */
static inline int64_t sq_job_scratch(const sq_packed* w, int copies) {
    int64_t rows = sq_chunk_rows((int64_t)w->taps * w->kc);
    int64_t bytes = rows * w->taps * (int64_t)sizeof(void*) + rows * (int64_t)sizeof(int32_t);
    if (copies) bytes += rows * sq_copy_stride((int64_t)w->taps * w->kc);
    return (bytes + 127) / 64 * 64;
}

static inline int32_t sq_panels(const sq_packed* w, int32_t nr) { return (w->n + nr - 1) / nr; }

/* acc * multiplier * 2^-(31 + shift) from a ratio in [2^-32, 1). */
static inline void sq_q31_split(float ratio, int32_t* multiplier, int32_t* shift) {
    union {
        float f;
        uint32_t u;
    } bits = {ratio};
    *multiplier = (int32_t)(((bits.u & 0x7FFFFFu) | 0x800000u) << 7);
    *shift = 126 - (int32_t)(bits.u >> 23);
}

/* out[c] = bias[c] - zx * column_sums[c] + k * zx * zero_points[c] modulo 2^32. bias and zero_points may be NULL. */
static inline void sq_fold(const int32_t* column_sums, const int32_t* zero_points, const int32_t* bias, int64_t columns,
                           int64_t k, int32_t zx, int32_t* out) {
    for (int64_t c = 0; c < columns; c++) {
        uint32_t v = (uint32_t)(bias ? bias[c] : 0) - (uint32_t)zx * (uint32_t)column_sums[c];
        if (zero_points) v += (uint32_t)k * (uint32_t)zx * (uint32_t)zero_points[c];
        out[c] = (int32_t)v;
    }
}

/* kernel table: fastest first, the last row always applies */
int sq_gemm_rows(void);
const sq_gemm_row* sq_gemm_row_at(int index);
/* The best row of the level of row `first` for a product of n columns in one group. */
int sq_gemm_row_for(int first, int32_t n, int64_t k);

/* Packing. sizes: [0] bytes of data, [1] number of extra vectors, [2] number of extra lists, [3] depth.
 * weights is [groups * n][taps * kc]. Returns -1 when there is no memory. */
int sq_pack_sizes(const sq_gemm_row* row, const int8_t* weights, int32_t groups, int32_t n, int32_t taps, int32_t kc,
                  int64_t sizes[4]);
void sq_pack(const sq_gemm_row* row, const int8_t* weights, sq_packed* packed, int8_t* data, sq_extra* extras,
             int32_t* extra_begin, int8_t* extra_data);

/* Rows m0..m1 of panels p0..p1 (counted over all groups). scratch: sq_job_scratch() bytes, aligned to 64; NULL will do
 * when taps == 1 and the source does not copy. */
void sq_gemm_block(const sq_gemm_job* job, int64_t m0, int64_t m1, int64_t p0, int64_t p1, uint8_t* scratch);

#endif
