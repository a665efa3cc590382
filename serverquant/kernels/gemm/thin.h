/* Tiles of at most four columns, whose lanes are steps of k: in the other tiles a vector of columns would be empty but
 * for them. A tile is one vector of sums, row by row; what its rows lack is computed from the first row and not stored.
 *
 * Written once; the including header defines, for its instruction set,
 *   TH_NAME(x), TH_V, TH_LANES: int32 of a vector, and the largest number of sums; TH_STEP: k of a vector,
 *   TH_X(p), TH_X_PART(p, count): activations; TH_W(p): weights; TH_DOT(acc, x, w); TH_ZERO();
 *   TH_QUARTER(a, b, c, d): the sums of four vectors, TH_JOIN(quarters): as many of those as make up a vector,
 *   TH_LOAD(p), TH_STORE(p, v), TH_FIRST(p, count): the first of p's values, 0 behind; TH_TAKE(v, places); TH_OP(x): intrinsics;
 *   TH_BYTES(v): to bytes, as __m128i; TH_INTS(v), TH_FLOATS(v): casts; TH_Q31.
 * No include guard: it is included once an instruction set. */

/* Row, and column, of the lanes of a tile of n columns. */
#define TH_PLACES(by) {0 by, 1 by, 2 by, 3 by, 4 by, 5 by, 6 by, 7 by, 8 by, 9 by, 10 by, 11 by, 12 by, 13 by, 14 by, 15 by}
static const int32_t TH_NAME(row_of)[4][16] = {TH_PLACES(/ 1), TH_PLACES(/ 2), TH_PLACES(/ 3), TH_PLACES(/ 4)};
static const int32_t TH_NAME(column_of)[4][16] = {TH_PLACES(% 1), TH_PLACES(% 2), TH_PLACES(% 3), TH_PLACES(% 4)};
#undef TH_PLACES

SQ_INLINE void TH_NAME(add)(TH_V* acc, TH_V x, TH_V w) {
    *acc = TH_DOT(*acc, x, w);
    SQ_SETTLE(*acc);
}

/* One vector of k; `part`: its first `count` only. */
SQ_INLINE void TH_NAME(step)(TH_V* acc, const uint8_t* const* a, int32_t k, const int part, int32_t count,
                             const int8_t* w, const int mr, const int n) {
    TH_V weight[4];
    SQ_EACH_J(n, weight[j] = TH_W(w + j * TH_STEP);)
    SQ_EACH_I(mr, const TH_V x = part ? TH_X_PART(a[i] + k, count) : TH_X(a[i] + k);
              SQ_EACH_J(n, TH_NAME(add)(&acc[i * n + j], x, weight[j]);))
}

SQ_INLINE void TH_NAME(multiply)(const sq_tile* t, TH_V* acc, const int mr, const int n, const int whole) {
    const int32_t taps = t->packed->taps, kc = t->packed->kc;
    const int8_t* w = t->w;
    for (int32_t tap = 0; tap < taps; tap++) {
        const uint8_t* a[TH_LANES];
        int32_t k = 0;
        SQ_EACH_I(mr, a[i] = t->a[tap * t->a_stride + (whole || i < t->m ? i : 0)] + t->a_offset;)
        for (; k <= kc - TH_STEP; k += TH_STEP, w += n * TH_STEP) TH_NAME(step)(acc, a, k, 0, 0, w, mr, n);
        if (k < kc) TH_NAME(step)(acc, a, k, 1, kc - k, w, mr, n);
    }
}

/* The same for rows that lie a_step bytes apart, and whole vectors of k: taps are short, so it is pointers that cost. */
SQ_INLINE void TH_NAME(multiply_steps)(const sq_tile* t, TH_V* acc, const int mr, const int n) {
    const int64_t kc = t->packed->kc, a_step = t->a_step;
    const uint8_t *const *tap = t->a, *const *const last = tap + t->packed->taps;
    const int8_t* w = t->w;
    do {
        const uint8_t* x = *tap + t->a_offset;
        const uint8_t* const end = x + kc;
        do {
            TH_V weight[4];
            SQ_EACH_J(n, weight[j] = TH_W(w + j * TH_STEP);)
            SQ_EACH_I(mr, const TH_V v = TH_X(x + i * a_step);
                      SQ_EACH_J(n, TH_NAME(add)(&acc[i * n + j], v, weight[j]);))
            w += n * TH_STEP;
        } while ((x += TH_STEP) < end);
    } while (++tap < last);
}

/* The sums of the tile, lane i * n + j; those of rows that it lacks are anything. */
SQ_INLINE TH_V TH_NAME(sums)(const sq_tile* t, const int mr, const int n, const int whole, const int stepped) {
    TH_V acc[TH_LANES];
    __m128i quarters[TH_LANES / 4];
    SQ_EACH_I(TH_LANES, acc[i] = TH_ZERO();)
    if (stepped)
        TH_NAME(multiply_steps)(t, acc, mr, n);
    else
        TH_NAME(multiply)(t, acc, mr, n, whole);
    SQ_EACH_J(TH_LANES / 4,
              quarters[j] = 4 * j < mr * n ? TH_QUARTER(acc[4 * j], acc[4 * j + 1], acc[4 * j + 2], acc[4 * j + 3])
                                           : _mm_setzero_si128();)
    return TH_JOIN(quarters);
}

SQ_INLINE TH_V TH_NAME(requantize)(const sq_tile* t, TH_V acc, TH_V column, const int n) {
    const sq_epilogue* ep = t->ep;
    const TH_V zero_point = TH_OP(set1_epi32)(ep->zero_point);
    if (ep->kind == SQ_REQUANT_Q31) {
        acc = TH_Q31(acc, ep);
    } else {
        const TH_V m = ep->per_column ? TH_TAKE(TH_FIRST(ep->multiplier + t->column, n), column)
                                      : TH_INTS(TH_OP(set1_ps)(ep->multiplier[0]));
        acc = TH_OP(cvtps_epi32)(TH_OP(mul_ps)(TH_OP(cvtepi32_ps)(acc), TH_FLOATS(m)));
    }
    /* Clamped before the zero point is added, so that nothing overflows. */
    acc = TH_OP(max_epi32)(acc, TH_OP(sub_epi32)(TH_OP(set1_epi32)(ep->lo), zero_point));
    acc = TH_OP(min_epi32)(acc, TH_OP(sub_epi32)(TH_OP(set1_epi32)(ep->hi), zero_point));
    return TH_OP(add_epi32)(acc, zero_point);
}

SQ_INLINE void TH_NAME(store)(const sq_tile* t, __m128i bytes, const int n) {
    uint8_t all[16];
    uint8_t* to = (uint8_t*)t->c;
    _mm_storeu_si128((__m128i*)(void*)all, bytes);
    if (t->ldc == n)
        memcpy(to, all, (size_t)(t->m * n));
    else
        for (int i = 0; i < t->m; i++)
            for (int j = 0; j < n; j++) to[i * t->ldc + j] = all[i * n + j];
}

SQ_INLINE void TH_NAME(tile)(const sq_tile* t, const int mr, const int n, const int whole, const int stepped) {
    const TH_V row = TH_LOAD(TH_NAME(row_of)[n - 1]), column = TH_LOAD(TH_NAME(column_of)[n - 1]);
    const TH_V bias = TH_TAKE(TH_FIRST(t->ep->bias + t->column, n), column);
    TH_V acc = TH_OP(add_epi32)(TH_NAME(sums)(t, mr, n, whole, stepped), bias);
    if (t->row_sums) {
        TH_V sums = TH_TAKE(TH_FIRST(t->row_sums, t->m), row);
        if (t->zero_points) sums = TH_OP(mullo_epi32)(sums, TH_TAKE(TH_FIRST(t->zero_points, n), column));
        acc = TH_OP(sub_epi32)(acc, sums);
    }
    if (t->ep->kind == SQ_REQUANT_F32 || t->ep->kind == SQ_REQUANT_Q31) {
        TH_NAME(store)(t, TH_BYTES(TH_NAME(requantize)(t, acc, column, n)), n);
    } else {
        int32_t out[TH_LANES];
        TH_STORE(out, acc);
        sq_finish_tile(t, out, n);
    }
}

/* Functions of their own, as gcc shares registers badly among tiles that it has inlined into one. */
#define TH_TILE(mr, n)                                                                                          \
    static __attribute__((noinline)) void TH_NAME(whole_##n)(const sq_tile* t) { TH_NAME(tile)(t, mr, n, 1, 0); } \
    static __attribute__((noinline)) void TH_NAME(part_##n)(const sq_tile* t) { TH_NAME(tile)(t, mr, n, 0, 0); }  \
    static __attribute__((noinline)) void TH_NAME(steps_##n)(const sq_tile* t) { TH_NAME(tile)(t, mr, n, 1, 1); } \
    static void TH_NAME(tile_##n)(const sq_tile* t) {                                                           \
        (t->m != (mr) ? TH_NAME(part_##n) : t->a_step ? TH_NAME(steps_##n) : TH_NAME(whole_##n))(t);            \
    }
TH_TILE(TH_LANES, 1)
TH_TILE(TH_LANES / 2, 2)
TH_TILE(TH_LANES / 3, 3)
TH_TILE(TH_LANES / 4, 4)

static void TH_NAME(tile_of)(const sq_tile* t) {
    static void (*const tiles[4])(const sq_tile*) = {TH_NAME(tile_1), TH_NAME(tile_2), TH_NAME(tile_3), TH_NAME(tile_4)};
    tiles[t->n - 1](t);
}

#undef TH_TILE
#undef TH_NAME
#undef TH_V
#undef TH_LANES
#undef TH_STEP
#undef TH_X
#undef TH_X_PART
#undef TH_W
#undef TH_DOT
#undef TH_ZERO
#undef TH_QUARTER
#undef TH_JOIN
#undef TH_LOAD
#undef TH_STORE
#undef TH_FIRST
#undef TH_TAKE
#undef TH_OP
#undef TH_BYTES
#undef TH_INTS
#undef TH_FLOATS
#undef TH_Q31
