/* The tile, written once. The including header defines, for its instruction set,
 *   SQ_V, SQ_LANES, SQ_ZERO(), SQ_LOAD(p), SQ_STORE(p, v), SQ_STREAM(p, v), SQ_LOAD_PART(p, count),
 *   SQ_STORE_PART(p, v, count), SQ_SPREAD(x), SQ_FMA(a, b, c), SQ_ADD(a, b), SQ_CLIP(v, lo, hi), SQ_MR, SQ_NV (vectors of a row), SQ_NAME(suffix).
 * No include guard: it is included once an instruction set. */

#define SQ_BODY SQ_INLINE
#define SQ_ROWS _Pragma("GCC unroll 8") for (int i = 0; i < mr; i++)
#define SQ_COLS _Pragma("GCC unroll 8") for (int j = 0; j < nv; j++)

/* Vector j of a row of nv: the last one holds `last` values. */
SQ_BODY SQ_V SQ_NAME(_get)(const float* p, int j, int nv, int last) {
    return j < nv - 1 || last == SQ_LANES ? SQ_LOAD(p + j * SQ_LANES) : SQ_LOAD_PART(p + j * SQ_LANES, last);
}

SQ_BODY void SQ_NAME(_put)(float* p, SQ_V v, int j, int nv, int last) {
    if (j < nv - 1 || last == SQ_LANES)
        SQ_STORE(p + j * SQ_LANES, v);
    else
        SQ_STORE_PART(p + j * SQ_LANES, v, last);
}

SQ_BODY void SQ_NAME(_body)(const sq_f32_tile* t, const int mr, const int nv) {
    const int last = t->n - (nv - 1) * SQ_LANES;
    SQ_V acc[SQ_MR][SQ_NV];
    if (t->accumulate) {
        SQ_ROWS SQ_COLS acc[i][j] = SQ_NAME(_get)(t->c + i * t->ldc, j, nv, last);
    } else {
        SQ_ROWS SQ_COLS acc[i][j] = SQ_ZERO();
    }
    const float* b = t->b;
    const int64_t ldb = t->ldb, kc = t->kc;
    for (int64_t tap = 0; tap < t->taps; tap++) {
        const float* a[SQ_MR];
        SQ_ROWS a[i] = t->a[tap * t->a_stride + i] + t->a_offset;
        for (int64_t k = 0; k < kc; k++, b += ldb) {
            SQ_V w[SQ_NV];
            SQ_COLS w[j] = SQ_LOAD(b + j * SQ_LANES);
            SQ_ROWS {
                SQ_V x = SQ_SPREAD(a[i] + k);
                SQ_COLS acc[i][j] = SQ_FMA(x, w[j], acc[i][j]);
            }
        }
    }
    if (t->row_bias) {
        SQ_ROWS SQ_COLS acc[i][j] = SQ_ADD(acc[i][j], SQ_SPREAD(t->row_bias + i));
    }
    if (t->col_bias) {
        SQ_COLS {
            SQ_V bias = SQ_NAME(_get)(t->col_bias, j, nv, last);
            SQ_ROWS acc[i][j] = SQ_ADD(acc[i][j], bias);
        }
    }
    if (t->bounds) {
        SQ_V lo = SQ_SPREAD(&t->bounds->lo), hi = SQ_SPREAD(&t->bounds->hi);
        SQ_ROWS SQ_COLS acc[i][j] = SQ_CLIP(acc[i][j], lo, hi);
    }
    if (t->streamed && last == SQ_LANES) {
        SQ_ROWS SQ_COLS SQ_STREAM(t->c + i * t->ldc + j * SQ_LANES, acc[i][j]);
    } else {
        SQ_ROWS SQ_COLS SQ_NAME(_put)(t->c + i * t->ldc, acc[i][j], j, nv, last);
    }
}

#define SQ_TILE(m, v) \
    static void SQ_NAME(_##m##x##v)(const sq_f32_tile* t) { SQ_NAME(_body)(t, m, v); }
#define SQ_ENTRY(m, v) SQ_NAME(_##m##x##v),
#if SQ_NV == 2
#define SQ_EACH_V(f, m) f(m, 1) f(m, 2)
#else
#define SQ_EACH_V(f, m) f(m, 1) f(m, 2) f(m, 3) f(m, 4)
#endif
#if SQ_MR == 2
#define SQ_EACH_TILE(f) SQ_EACH_V(f, 1) SQ_EACH_V(f, 2)
#else
#define SQ_EACH_TILE(f) \
    SQ_EACH_V(f, 1) SQ_EACH_V(f, 2) SQ_EACH_V(f, 3) SQ_EACH_V(f, 4) SQ_EACH_V(f, 5) SQ_EACH_V(f, 6)
#endif

SQ_EACH_TILE(SQ_TILE)

/* Each number of rows and vectors has a body of its own, so that every accumulator is a register. */
static void SQ_NAME()(const sq_f32_tile* t) {
    static void (*const bodies[SQ_MR * SQ_NV])(const sq_f32_tile*) = {SQ_EACH_TILE(SQ_ENTRY)};
    bodies[(t->m - 1) * SQ_NV + (t->n + SQ_LANES - 1) / SQ_LANES - 1](t);
}

#undef SQ_BODY
#undef SQ_ROWS
#undef SQ_COLS
#undef SQ_TILE
#undef SQ_ENTRY
#undef SQ_EACH_V
#undef SQ_EACH_TILE
#undef SQ_V
#undef SQ_LANES
#undef SQ_ZERO
#undef SQ_LOAD
#undef SQ_STORE
#undef SQ_STREAM
#undef SQ_LOAD_PART
#undef SQ_STORE_PART
#undef SQ_SPREAD
#undef SQ_FMA
#undef SQ_ADD
#undef SQ_CLIP
#undef SQ_MR
#undef SQ_NV
#undef SQ_NAME
