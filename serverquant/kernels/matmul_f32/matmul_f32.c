/* Products whose both sides change from run to run; the contract is in matmul_f32.h. */
#include "matmul_f32.h"

#include <string.h>

enum { PACK_ROWS = 16 }; /* of a panel that are filled together when B is turned: they stay in the first-level cache */

static int64_t panels_of(const sq_gemm_f32_row* row, int64_t n) { return (n + row->nr - 1) / row->nr; }

/* Rows [k][n] of B, `columns` of them, as [k][width]; zeros beyond. */
static void copy_panel(const float* b, int64_t n, int64_t k, int64_t columns, int64_t width, float* out) {
    for (int64_t i = 0; i < k; i++, b += n, out += width) {
        memcpy(out, b, (size_t)columns * sizeof(float));
        for (int64_t j = columns; j < width; j++) out[j] = 0.0f;
    }
}

/* The same from [n][k]. */
static void turn_panel(const float* b, int64_t k, int64_t columns, int64_t width, float* out) {
    for (int64_t i0 = 0; i0 < k; i0 += PACK_ROWS) {
        const int64_t i1 = sq_f32_min(i0 + PACK_ROWS, k);
        for (int64_t j = 0; j < width; j++)
            for (int64_t i = i0; i < i1; i++) out[i * width + j] = j < columns ? b[j * k + i] : 0.0f;
    }
}

void sq_matmul_pack_range(const void* arg, long long begin, long long end) {
    const sq_matmul_pack_job* job = (const sq_matmul_pack_job*)arg;
    const int64_t nr = job->row->nr, panels = panels_of(job->row, job->n);
    for (int64_t item = begin; item < end; item++) {
        const int64_t matrix = item / panels, column = item % panels * nr, columns = sq_f32_min(nr, job->n - column);
        const int64_t width = sq_f32_round_up(columns, job->row->lanes);
        const float* b = job->b + matrix * job->n * job->k;
        float* out = job->out + matrix * sq_matmul_panel_floats(job->row, job->n, job->k) + column * job->k;
        if (job->transposed)
            turn_panel(b + column * job->k, job->k, columns, width, out);
        else
            copy_panel(b + column, job->n, job->k, columns, width, out);
    }
}

/* One panel of product i, rows m0..m1. */
static void multiply_panel(const sq_matmul_f32_job* job, int64_t i, int64_t column, int64_t m0, int64_t m1) {
    const int64_t nr = job->row->nr, mr = job->row->mr;
    const float* a = job->a + (job->a_at ? job->a_at[i] : i * job->a_step);
    const float* b = job->b + (job->b_at ? job->b_at[i] : i * job->b_step) + (job->panels ? column * job->k : column);
    const float* rows[SQ_F32_MAX_MR];
    sq_f32_tile t = {.a = rows, .taps = 1, .ldb = job->ldb, .ldc = job->n};
    t.n = (int32_t)sq_f32_min(job->n - column, nr);
    if (job->panels) t.ldb = sq_f32_round_up(t.n, job->row->lanes);
    const int64_t block = m1 - m0 > mr ? sq_f32_block_k(sq_f32_round_up(t.n, job->row->lanes)) : job->k;
    int64_t k0 = 0;
    do {
        t.kc = sq_f32_min(block, job->k - k0);
        t.b = b + k0 * t.ldb;
        t.accumulate = k0 > 0;
        for (int64_t r = m0; r < m1; r += t.m) {
            t.m = (int32_t)sq_f32_min(mr, m1 - r);
            for (int32_t j = 0; j < t.m; j++) rows[j] = a + (r + j) * job->lda + k0;
            t.c = job->out + i * job->m * job->n + r * job->n + column;
            t.row_bias = job->row_bias && k0 + t.kc == job->k ? job->row_bias + r : NULL;
            job->row->tile(&t);
        }
        k0 += t.kc;
    } while (k0 < job->k);
}

/* Rows of a chunk; fewer when there would not be enough shares for the team. */
static int64_t rows_of_chunk(const sq_matmul_f32_job* job, int64_t panels) {
    int64_t mr = job->row->mr, chunk = 16 * mr;
    while (chunk > mr && job->team > 1 && job->batch * ((job->m + chunk - 1) / chunk) * panels < 4 * job->team)
        chunk -= mr;
    return chunk;
}

void sq_matmul_f32_range(const void* arg, long long begin, long long end) {
    const sq_matmul_f32_job* job = (const sq_matmul_f32_job*)arg;
    const int64_t panels = panels_of(job->row, job->n), chunk = rows_of_chunk(job, panels);
    const int64_t chunks = (job->m + chunk - 1) / chunk, items = job->batch * chunks * panels;
    for (int64_t item = items * begin / job->team; item < items * end / job->team; item++) {
        const int64_t m0 = item / panels % chunks * chunk;
        multiply_panel(job, item / panels / chunks, item % panels * job->row->nr, m0,
                       sq_f32_min(m0 + chunk, job->m));
    }
}
