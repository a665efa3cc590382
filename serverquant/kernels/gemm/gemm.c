/* The kernel table, packing, and the loops around the tiles. Threads are one level up, in _gemm.pyx. */
#include "gemm.h"

#include "../../_base/isa.h"
#include "pack.h"
#include "scalar.h"
#if SQ_X86
#include "avx2.h"
#include "avx512vnni.h"
#endif

#define SQ_GEMM_KERNEL(isa, name, mr, nr, lanes, kr, accumulators, narrow, staggers) \
    {#name, SQ_ISA_##isa, mr, nr, lanes, kr, accumulators, narrow, staggers, name, name##_sum_rows},
static const sq_gemm_row table[] = {
#include "kernels.inc"
};
#undef SQ_GEMM_KERNEL

int sq_gemm_rows(void) { return (int)(sizeof(table) / sizeof(table[0])); }
const sq_gemm_row* sq_gemm_row_at(int index) { return &table[index]; }

int sq_gemm_row_for(int first, int32_t n, int64_t k) {
    for (int i = first; i < sq_gemm_rows() && table[i].isa == table[first].isa; i++)
        if (table[i].lanes == 1 && n <= table[i].nr && k >= table[i].kr) return i;
    return first;
}

/* Rows of a tile of n columns: as many as the accumulators hold, and no more than mr. */
static int32_t tile_rows(const sq_gemm_row* row, int32_t n) {
    int32_t vectors = (n + row->lanes - 1) / row->lanes;
    int32_t fit = row->accumulators / vectors;
    return fit < row->mr ? fit : row->mr;
}

/* In units of an eighth of a vector operation: 3 operations a vector at depth 1, 2.5 at depth 2, 4 with int16 weights
 * (depth 0), 3 an extra and its walk. Measured on a Zen 5 core, where depth 1 is 24: 19 at depth 2, 31 at depth 0, 25 an
 * extra. */
static int64_t depth_cost(int64_t vectors, int64_t extras, int32_t depth) {
    static const int32_t eighths[] = {32, 24, 20};
    return vectors * eighths[depth] + extras * 28;
}

/* Bytes of a weight. */
static int64_t weight_size(const sq_packed* w) { return w->depth == 0 ? 2 : 1; }

int sq_pack_sizes(const sq_gemm_row* row, const int8_t* weights, int32_t groups, int32_t n, int32_t taps, int32_t kc,
                  int64_t sizes[4]) {
    sizes[0] = groups * sq_round_up(n, row->lanes) * sq_round_up((int64_t)taps * kc, row->kr);
    sizes[1] = sizes[2] = 0;
    sizes[3] = 1;
    if (!row->narrow) return 0;
    int64_t vectors = sizes[0] / SQ_NARROW_BYTES;
    int64_t extras[3] = {0};
    sizes[3] = 0;
    for (int32_t depth = 2; depth > 0; depth--) {
        extras[depth] = sq_count_extras(row, weights, groups, n, taps, kc, depth);
        if (extras[depth] < 0) return -1;
        if (depth_cost(vectors, extras[depth], depth) <= depth_cost(vectors, extras[sizes[3]], (int32_t)sizes[3]))
            sizes[3] = depth;
    }
    sizes[1] = extras[sizes[3]];
    if (sizes[3] == 0) sizes[0] *= 2;
    sizes[2] = (int64_t)groups * ((n + row->nr - 1) / row->nr) * (row->nr / row->lanes);
    return 0;
}

void sq_pack(const sq_gemm_row* row, const int8_t* weights, sq_packed* packed, int8_t* data, sq_extra* extras,
             int32_t* extra_begin, int8_t* extra_data) {
    int32_t n = packed->n, panels = sq_panels(packed, row->nr), lists = row->nr / row->lanes;
    int64_t k = (int64_t)packed->taps * packed->kc, padded_k = sq_round_up(k, row->kr);
    sq_extra_list list = {extras, extra_data, 0};
    const int64_t size = weight_size(packed);
    packed->group_bytes = sq_round_up(n, row->lanes) * padded_k * size;
    for (int32_t g = 0; g < packed->groups; g++, weights += n * k)
        for (int32_t p = 0; p < panels; p++) {
            int32_t width = sq_panel_width(row, n, p);
            int8_t* panel = data + g * packed->group_bytes + p * row->nr * padded_k * size;
            if (packed->depth == 0) {
                sq_pack_wide_panel(weights, n, k, p * row->nr, width, panel);
                continue;
            }
            sq_pack_panel(weights, n, k, p * row->nr, width, row->kr, panel);
            if (!row->narrow) continue;
            int32_t* begin = extra_begin + ((int64_t)g * panels + p) * lists;
            sq_narrow_panel(panel, width, row->lanes, packed->taps, packed->kc, packed->depth, &list, begin);
            /* Lists of vectors that the last panel lacks are empty, and each list ends where the next begins. */
            for (int32_t v = width / row->lanes; v <= lists; v++) begin[v] = list.count;
        }
    packed->data = data;
    packed->extras = list.count ? extras : NULL;
    packed->extra_begin = extra_begin;
    packed->extra_data = extra_data;
}

static int staggers(const sq_gemm_row* row, const sq_tile* t) {
    return row->staggers && t->n == row->nr && t->packed->kc && t->packed->kc % row->kr == 0 && !t->zero_points &&
           t->ep->kind < SQ_RAW_S32;
}

/* How many of `left` rows the next call of a tile() that staggers takes, with tiles of `tile` rows. */
static int32_t rows_at_once(int32_t left, int32_t tile) {
    if (left < 2 * tile) return left < tile ? left : tile;
    /* A rest of few rows leaves multipliers idle: with some tiles above it, it makes tiles of a row less. */
    const int32_t rest = left % tile, less = 2 * rest > tile ? 0 : (tile - rest) % tile * (tile - 1);
    if (left == less) return left;
    return left < less ? left - rest : (left - less) / tile * tile;
}

/* All tiles of one panel over the rows of a chunk. */
static void run_panel(const sq_gemm_job* job, const sq_gemm_row* row, sq_tile* t, int64_t m0, int32_t rows) {
    int64_t size = job->ep->kind >= SQ_RAW_S32 ? 4 : 1;
    const int32_t tile = tile_rows(row, t->n);
    const int several = staggers(row, t);
    const uint8_t* const* a = t->a;
    const int32_t* sums = t->row_sums;
    for (int32_t i = 0; i < rows; i += t->m) {
        const int32_t left = rows - i;
        t->m = several ? rows_at_once(left, tile) : left < tile ? left : tile;
        t->a = a + i;
        if (sums) t->row_sums = sums + i;
        t->c = (uint8_t*)job->c + ((m0 + i) * job->ldc + t->column) * size;
        row->tile(t);
    }
    t->a = a;
    t->row_sums = sums;
}

/* Panels p0..p1 of group g over one chunk whose row pointers are ready. */
static void run_group(const sq_gemm_job* job, const sq_gemm_row* row, sq_tile* t, int32_t g, int32_t p0, int32_t p1,
                      int64_t m0, int64_t rows) {
    const sq_packed* w = job->packed;
    const int64_t panel_bytes = row->nr * sq_round_up((int64_t)w->taps * w->kc, row->kr) * weight_size(w);
    for (int32_t p = p0; p < p1; p++) {
        int32_t left = w->n - p * row->nr;
        t->panel = g * sq_panels(w, row->nr) + p;
        t->w = w->data + g * w->group_bytes + p * panel_bytes;
        t->n = left < row->nr ? left : row->nr;
        t->column = (int64_t)g * w->n + p * row->nr;
        t->zero_points = w->zero_points && !w->uniform ? w->zero_points + t->column : NULL;
        run_panel(job, row, t, m0, (int32_t)rows);
    }
}

/* Of panel p, counted over all groups; the number of columns where p is the number of panels. */
static int64_t first_column(const sq_packed* w, int64_t p, int32_t nr) {
    const int64_t panels = sq_panels(w, nr);
    return p / panels * w->n + p % panels * nr;
}

/* Runs of rows that need a pointer a tap instead of one each, for rows of the table that do little with each pointer:
 * whole tiles, the last one moved back to end with the run. */
static void run_steps(const sq_gemm_job* job, const sq_gemm_row* row, sq_tile* t, int64_t m0, int64_t rows) {
    const int64_t size = job->ep->kind >= SQ_RAW_S32 ? 4 : 1, step = tile_rows(row, t->n);
    t->m = (int32_t)step;
    t->a_step = job->source->step;
    for (int64_t i = 0; i < rows; i += step) {
        const int64_t at = i + step <= rows ? i : rows - step;
        t->a_offset = at * t->a_step;
        t->c = (uint8_t*)job->c + (m0 + at) * job->ldc * size;
        row->tile(t);
    }
    t->a_step = t->a_offset = 0;
}

/* Rows m0..m1 of a job of one panel whose rows lie in runs. */
static void run_thin(const sq_gemm_job* job, const sq_gemm_row* row, int64_t m0, int64_t m1, const uint8_t** rows) {
    const sq_packed* w = job->packed;
    const sq_source* s = job->source;
    const int64_t chunk = sq_chunk_rows((int64_t)w->taps * w->kc), least = tile_rows(row, w->n);
    sq_tile t = {.a = rows, .packed = w, .ep = job->ep, .w = w->data, .n = w->n, .ldc = job->ldc};
    for (int64_t m = m0, run; m < m1; m += run) {
        const int64_t begin = m;
        int64_t single = 0;
        for (run = 0; m + single < m1 && single < chunk && run < least; single += run < 0 ? -run : run < least ? run : 0)
            run = s->run(s, m + single, m1 - m - single, rows);
        if (run < least) run = 0;
        if (single > chunk) single = chunk, run = 0;
        if (single) {
            s->fill(s, m, m + single, 0, rows, NULL);
            t.a_stride = single;
            run_panel(job, row, &t, m, (int32_t)single);
            m += single;
            if (run) s->run(s, m, run, rows);
        }
        if (run) run_steps(job, row, &t, m, run);
        sq_rows_done(job->ep, begin, m + run, 0, w->n, job->ldc);
    }
}

void sq_gemm_block(const sq_gemm_job* job, int64_t m0, int64_t m1, int64_t p0, int64_t p1, uint8_t* scratch) {
    const sq_packed* w = job->packed;
    const sq_gemm_row* row = &table[w->row];
    int32_t panels = sq_panels(w, row->nr);
    int64_t chunk = sq_chunk_rows((int64_t)w->taps * w->kc);
    uint64_t small[SQ_MAX_CHUNK * 3 / 2];
    const uint8_t** rows = scratch ? (const uint8_t**)scratch : (const uint8_t**)small;
    int32_t* sums = (int32_t*)(rows + chunk * w->taps);
    uint8_t* copy = (uint8_t*)(sums + chunk);
    const int one_panel = w->groups == 1 && panels == 1;
    if (row->lanes == 1 && one_panel && w->kc % row->kr == 0 && job->source->run && !w->zero_points) {
        run_thin(job, row, m0, m1, rows);
        return;
    }
    for (int64_t m = m0; m < m1; m += chunk) {
        int64_t count = m1 - m < chunk ? m1 - m : chunk;
        int filled = 0;
        for (int64_t p = p0, end; p < p1; p = end) {
            int32_t g = (int32_t)(p / panels);
            end = (int64_t)(g + 1) * panels < p1 ? (int64_t)(g + 1) * panels : p1;
            if (!filled || job->source->copies) job->source->fill(job->source, m, m + count, g, rows, copy);
            filled = 1;
            sq_tile t = {.a = rows, .a_stride = count, .packed = w, .ep = job->ep, .ldc = job->ldc};
            t.a_offset = job->source->copies ? 0 : (int64_t)g * w->kc;
            if (w->zero_points) {
                row->sum_rows(rows, count, t.a_offset, w->taps, w->kc, (int32_t)count, sums);
                for (int64_t i = 0; w->uniform && i < count; i++) sums[i] = sq_wrap_mul(sums[i], w->zero_points[0]);
                t.row_sums = sums;
            }
            run_group(job, row, &t, g, (int32_t)(p - (int64_t)g * panels), (int32_t)(end - (int64_t)g * panels), m,
                      count);
        }
        sq_rows_done(job->ep, m, m + count, first_column(w, p0, row->nr), first_column(w, p1, row->nr), job->ldc);
    }
}
