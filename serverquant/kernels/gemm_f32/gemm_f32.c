/* Kernel table, packing and the driver of fp32 products; the contract is in gemm_f32.h. */
#include "gemm_f32.h"

#include <math.h>
#include <string.h>

#include "../../_base/isa.h"
#include "serverquant/stream.h"
#include "scalar.h"
#if SQ_X86
#include "avx2.h"
#include "avx512vnni.h"
#endif

#define SQ_GEMM_F32_KERNEL(isa, name, mr, nr, lanes, narrow) {#name, SQ_ISA_##isa, mr, nr, lanes, name, narrow},
static const sq_gemm_f32_row table[] = {
#include "kernels.inc"
};
#undef SQ_GEMM_F32_KERNEL

int sq_gemm_f32_rows(void) { return (int)(sizeof(table) / sizeof(table[0])); }
const sq_gemm_f32_row* sq_gemm_f32_row_at(int index) { return &table[index]; }

/* Columns n0 .. n0 + width of weights[n][k] as [k][width]; zeros beyond column n. */
static void pack_panel(const float* weights, int64_t n, int64_t k, int64_t n0, int64_t width, float* out) {
    for (int64_t j = 0; j < width; j++)
        for (int64_t i = 0; i < k; i++) out[i * width + j] = n0 + j < n ? weights[(n0 + j) * k + i] : 0.0f;
}

void sq_gemm_f32_pack(const sq_packed_f32* w, const float* weights, float* data) {
    for (int64_t g = 0; g < w->groups; g++)
        for (int64_t p = 0; p < sq_f32_panels(w); p++)
            pack_panel(weights + g * w->n * w->k, w->n, w->k, p * w->row->nr, sq_f32_panel_width(w, p),
                       data + (sq_f32_panel(w, g, p) - w->data));
}

/* Rows m0..m1 of one block of K: `a` and `c` point to column k0 of A and to the panel's column, both of row 0. */
static void run_rows(const sq_gemm_f32_job* job, sq_f32_tile* t, const float** rows, const float* a, float* c,
                     int64_t m0, int64_t m1) {
    const int32_t mr = job->packed->row->mr;
    for (int64_t i = m0; i < m1; i += mr) {
        t->m = (int32_t)sq_f32_min(mr, m1 - i);
        for (int32_t r = 0; r < t->m; r++) rows[r] = a + (i + r) * job->lda;
        t->c = c + i * job->ldc;
        job->packed->row->tile(t);
    }
}

static int is_streamed(const sq_gemm_f32_job* job) {
    return sq_is_streamed(job->out, job->m * job->ldc, job->ldc);
}

/* As many of the rows m0..m1 as narrow products take: where those end. */
static int64_t run_narrow(const sq_gemm_f32_job* job, int64_t m0, int64_t m1) {
    const sq_packed_f32* w = job->packed;
    if (!w->row->narrow || w->n > SQ_F32_NARROW_COLUMNS) return m0;
    sq_f32_narrow t = {.lda = job->lda, .k = w->k, .b = sq_f32_panel(w, job->group, 0), .ldb = sq_f32_panel_width(w, 0),
                       .ldc = job->ldc, .n = (int32_t)w->n, .bounds = job->bounds, .bias = job->bias};
    for (; m0 + SQ_F32_NARROW_ROWS <= m1; m0 += SQ_F32_NARROW_ROWS) {
        t.a = job->a + m0 * job->lda;
        t.c = job->out + m0 * job->ldc;
        w->row->narrow(&t);
    }
    return m0;
}

static void run_panel(const sq_gemm_f32_job* job, int64_t panel, int64_t m0, int64_t m1) {
    const sq_packed_f32* w = job->packed;
    m0 = run_narrow(job, m0, m1);
    const int64_t column = panel * w->row->nr, width = sq_f32_panel_width(w, panel);
    /* A single row of tiles reads the panel once: no reason to keep it close. */
    const int64_t block = m1 - m0 > w->row->mr ? sq_f32_block_k(width) : w->k;
    const float* rows[SQ_F32_MAX_MR];
    sq_f32_tile t = {.a = rows, .taps = 1, .ldb = width, .ldc = job->ldc};
    t.n = (int32_t)sq_f32_min(w->n - column, w->row->nr);
    int64_t k0 = 0;
    do {
        t.kc = sq_f32_min(block, w->k - k0);
        t.b = sq_f32_panel(w, job->group, panel) + k0 * width;
        t.accumulate = k0 > 0;
        if (k0 + t.kc == w->k) {
            t.bounds = job->bounds;
            t.col_bias = job->bias ? job->bias + column : NULL;
            t.streamed = is_streamed(job);
        }
        run_rows(job, &t, rows, job->a + k0, job->out + column, m0, m1);
        k0 += t.kc;
    } while (k0 < w->k);
}

/* Rows that stay close while all panels pass them; fewer when there would not be enough shares for the team. */
static int64_t chunk_rows(const sq_gemm_f32_job* job) {
    int64_t mr = job->packed->row->mr, chunk = 16 * mr, panels = sq_f32_panels(job->packed);
    while (chunk > mr && job->team > 1 && (job->m + chunk - 1) / chunk * panels < 4 * job->team) chunk -= mr;
    return chunk;
}

void sq_gemm_f32_range(const void* arg, long long begin, long long end) {
    const sq_gemm_f32_job* job = (const sq_gemm_f32_job*)arg;
    const int64_t chunk = chunk_rows(job), panels = sq_f32_panels(job->packed);
    const int64_t items = (job->m + chunk - 1) / chunk * panels;
    for (int64_t i = items * begin / job->team; i < items * end / job->team; i++) {
        int64_t m0 = i / panels * chunk;
        run_panel(job, i % panels, m0, sq_f32_min(m0 + chunk, job->m));
    }
    if (is_streamed(job)) sq_stream_end();
}
