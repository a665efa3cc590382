/* Products of matrices that change from run to run, many of a kind: the same chains and tiles as gemm_f32.h.
 *
 *     out[i] [m][n] = a[i] [m][k] x b[i] [k][n],  0 <= i < batch
 *
 * B is read where it lies (`panels` = 0), or from panels that sq_matmul_pack_range() has made.
 */
#ifndef SERVERQUANT_MATMUL_F32_H
#define SERVERQUANT_MATMUL_F32_H

#include "../gemm_f32/gemm_f32.h"

typedef struct sq_matmul_f32_job {
    const sq_gemm_f32_row* row;
    int64_t batch, m, n, k;
    const float* a;          /* product i: row r at a + a_at[i] + r * lda, k values */
    const float* b;          /* product i: row r at b + b_at[i] + r * ldb, read up to 60 bytes past its end; or panels */
    const int64_t* a_at;     /* NULL: product i's A begins at a + i * a_step */
    const int64_t* b_at;     /* likewise */
    int64_t a_step, b_step, lda, ldb;
    int32_t panels;
    const float* row_bias;   /* m values added to each row's sums, or NULL */
    float* out;              /* product i at out + i * m * n */
    int64_t team;
} sq_matmul_f32_job;

/* `count` matrices B to panels, [panel][k][columns] each, sq_matmul_panel_floats() floats. */
typedef struct sq_matmul_pack_job {
    const sq_gemm_f32_row* row;
    int64_t count, n, k;
    const float* b;          /* [k][n], or [n][k] if transposed; side by side */
    int32_t transposed;
    float* out;
} sq_matmul_pack_job;

static inline int64_t sq_matmul_panel_floats(const sq_gemm_f32_row* row, int64_t n, int64_t k) {
    return sq_f32_round_up(n, row->lanes) * k;
}

/* Shares begin..end of a job's `team` shares. */
void sq_matmul_f32_range(const void* job, long long begin, long long end);
/* Items: panels of all matrices, count * ceil(n / nr). */
void sq_matmul_pack_range(const void* job, long long begin, long long end);

#endif
