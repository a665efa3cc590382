/* fp32 products: one chain of fused multiply-adds an output element, the same bytes on every instruction set.
 *
 *     acc = +0;  for k ascending: acc = fma(a[m][k], b[k][n], acc);  out = acc + bias, within the bounds (bounds.h)
 *
 * The bias is added after the sum, with one rounding (not at all when there is none). Bounds: NULL for none.
 * Blocking along K stores and reloads acc, which changes nothing. Convolutions build on the same tiles.
 */
#ifndef SERVERQUANT_GEMM_F32_H
#define SERVERQUANT_GEMM_F32_H

#include <stdint.h>

#include "serverquant/bounds.h"

/* One output tile: m rows x n columns, m <= mr, n <= nr of the row; k = taps * kc.
 * Reads of B run up to a whole vector: at most 60 bytes past its n columns. */
typedef struct sq_f32_tile {
    const float* const* a;  /* row i of tap t begins at a[t * a_stride + i] + a_offset, kc values */
    int64_t a_stride, a_offset;
    int64_t taps, kc;
    const float* b;         /* row k of B at b + k * ldb */
    int64_t ldb;
    float* c;
    int64_t ldc;
    int32_t m, n;
    int32_t accumulate;     /* 1: acc starts from c, a later block of K */
    int32_t streamed;       /* 1: whole vectors pass the caches by; c and its rows lie at multiples of 64 bytes */
    const sq_bounds* bounds; /* with the last block of K only; NULL: none */
    const float* row_bias;  /* m values, likewise */
    const float* col_bias;  /* n values, likewise */
} sq_f32_tile;

/* SQ_F32_NARROW_ROWS rows times n columns, 1 <= n <= SQ_F32_NARROW_COLUMNS. */
typedef struct sq_f32_narrow {
    const float* a;         /* rows lda apart */
    int64_t lda, k;
    const float* b;         /* as in sq_f32_tile */
    int64_t ldb;
    float* c;
    int64_t ldc;
    int32_t n;
    const sq_bounds* bounds; /* NULL: none */
    const float* bias;      /* n values, or NULL */
} sq_f32_narrow;

typedef struct sq_gemm_f32_row {
    const char* name;
    int32_t isa;
    int32_t mr, nr;  /* largest tile */
    int32_t lanes;   /* columns of a vector */
    void (*tile)(const sq_f32_tile*);
    void (*narrow)(const sq_f32_narrow*);  /* NULL: none that is faster than a tile */
} sq_gemm_f32_row;

/* Weights as B: [groups][panels of nr columns][k][columns], the last panel as many whole vectors as it needs. */
typedef struct sq_packed_f32 {
    const sq_gemm_f32_row* row;
    const float* data;      /* aligned to 64 bytes */
    int64_t groups, n, k;   /* n columns and k rows of each group */
} sq_packed_f32;

typedef struct sq_gemm_f32_job {
    const sq_packed_f32* packed;
    int64_t group;
    const float* a;
    int64_t m, lda;
    const float* bias;
    const sq_bounds* bounds;
    float* out;
    int64_t ldc;
    int64_t team;
} sq_gemm_f32_job;

/* A panel of weights, or of pixels, should stay in the second-level cache while all rows pass it. */
enum { SQ_F32_PANEL_BYTES = 256 * 1024, SQ_F32_MAX_MR = 6, SQ_F32_NARROW_ROWS = 16, SQ_F32_NARROW_COLUMNS = 4 };

static inline int64_t sq_f32_min(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t sq_f32_round_up(int64_t v, int64_t to) { return (v + to - 1) / to * to; }
static inline int64_t sq_f32_panels(const sq_packed_f32* w) { return (w->n + w->row->nr - 1) / w->row->nr; }
static inline int64_t sq_f32_panel_width(const sq_packed_f32* w, int64_t panel) {
    return sq_f32_round_up(sq_f32_min(w->n - panel * w->row->nr, w->row->nr), w->row->lanes);
}
static inline int64_t sq_f32_group_floats(const sq_packed_f32* w) {
    return sq_f32_round_up(w->n, w->row->lanes) * w->k;
}
static inline const float* sq_f32_panel(const sq_packed_f32* w, int64_t group, int64_t panel) {
    return w->data + group * sq_f32_group_floats(w) + panel * w->row->nr * w->k;
}
/* Rows of B in a block of K for a panel of this width. */
static inline int64_t sq_f32_block_k(int64_t width) { return SQ_F32_PANEL_BYTES / (4 * width); }

/* kernel table: fastest first, the last row always applies */
int sq_gemm_f32_rows(void);
const sq_gemm_f32_row* sq_gemm_f32_row_at(int index);

/* weights: [groups * n][k]; data: groups * sq_f32_group_floats() floats */
void sq_gemm_f32_pack(const sq_packed_f32* packed, const float* weights, float* data);

/* Shares begin..end of a job's `team` shares: disjoint parts of the output. */
void sq_gemm_f32_range(const void* job, long long begin, long long end);

#endif
