/* Rows that end one after another, for avx512vnni.h.
 *
 * Where all rows of a tile end at once the multipliers wait for the sums to become bytes, and for the panel's first
 * weights, which the cache has let go: 60 to 90 cycles a tile, of 1,536 at k = 512, on a Zen 5 core. Here mr rows are
 * under way, each of which ends in another part of k and gives its place to the row mr below; the others' products go on
 * meanwhile, and where k ends no row does: 25 to 40 cycles. The first mr rows begin within k. The part of k before is
 * done for the last mr rows, whose sums are kept until their turn, when that part is all that they lack.
 */
#ifndef SERVERQUANT_GEMM_STAGGER_H
#define SERVERQUANT_GEMM_STAGGER_H

/* Not in a loop: the compiler decides what lives in registers before it unrolls some. */
#define SQ_EACH_ROW(mr) SQ_ROW(0), SQ_ROW(1), SQ_ROW(2), SQ_ROW(3), SQ_ROW(4), (mr) == 6 ? SQ_ROW(5) : (void)0

/* Where the products are. Row i of mr is `m + i`, or `before + i` until its turn comes. */
typedef struct v512_walk {
    __m512i acc[8][4];
    const uint8_t* a[6];
    const int8_t* w;
    int64_t ahead; /* from w to what is fetched from far away meanwhile, a line for four of a step */
    int64_t tap, k, m, before;
} v512_walk;

/* acc[i] = from - sum */
SQ_INLINE void v512_begin_row(v512_walk* at, const int i, const int32_t* from, int32_t sum) {
    const __m512i v = _mm512_set1_epi32(sum);
    at->acc[i][0] = _mm512_sub_epi32(_mm512_loadu_si512((const void*)from), v);
    at->acc[i][1] = _mm512_sub_epi32(_mm512_loadu_si512((const void*)(from + 16)), v);
    at->acc[i][2] = _mm512_sub_epi32(_mm512_loadu_si512((const void*)(from + 32)), v);
    at->acc[i][3] = _mm512_sub_epi32(_mm512_loadu_si512((const void*)(from + 48)), v);
}

/* Whole steps up to k = stop. */
SQ_INLINE void v512_steps(v512_walk* at, int64_t stop, const int mr) {
    for (; at->k < stop; at->k += 4, at->w += 256) {
        _mm_prefetch((const char*)at->w + at->ahead, _MM_HINT_T1);
        v512_step(at->a, at->k, at->w, mr, 4, at->acc);
    }
}

/* The beginning of k. pass: how many were before; the first four fetch the panel behind this one. */
SQ_INLINE void v512_rewind(const sq_tile* t, v512_walk* at, int64_t pass, const int mr) {
    const sq_packed* packed = t->packed;
    const int64_t panel = 64 * (int64_t)packed->taps * packed->kc;
    const int8_t* end = packed->data + packed->groups * packed->group_bytes;
    at->w = t->w, at->tap = at->k = 0;
    at->ahead = pass < 4 && t->w + panel < end ? panel + 64 * pass : 0;
#pragma GCC unroll 8
    for (int i = 0; i < mr; i++) at->a[i] = t->a[at->before + i] + t->a_offset;
}

typedef struct v512_place {
    int64_t tap, k;
} v512_place;

/* Where in k row i of mr ends, 0..mr - 1; mr: where k ends. */
SQ_INLINE v512_place v512_end_of(const sq_packed* packed, int i, const int mr, const int one_tap) {
    const int64_t steps = packed->kc / 4, at = steps * packed->taps * (2 * i + 1) / (2 * mr);
    if (i == mr) return (v512_place){packed->taps - 1, steps * 4};
    if (one_tap) return (v512_place){0, at * 4};
    return (v512_place){at / steps, at % steps * 4};
}

/* Goes on to `end`. turns: how many rows had theirs. */
SQ_INLINE void v512_walk_to(const sq_tile* t, v512_walk* at, const v512_place* end, const int turns, const int mr,
                            const int one_tap) {
    /* A loop for whole taps and one for the rest: as one, the compiler does not keep the sums in registers. */
    while (!one_tap && at->tap < end->tap) {
        v512_steps(at, t->packed->kc, mr);
        at->tap++, at->k = 0;
#pragma GCC unroll 8
        for (int i = 0; i < mr; i++) {
            const int64_t row = (i < turns ? at->m : at->before) + i;
            at->a[i] = t->a[at->tap * t->a_stride + row] + t->a_offset;
        }
    }
    v512_steps(at, end->k, mr);
}

/* What turns have in common. Rows begin, and end, in order: what is next for either is moved on with each. */
typedef struct v512_rows {
    v512_levels levels;
    v512_place end[7];
    const int32_t *bias, *sum; /* sum: of the next row that begins */
    int64_t sum_step;
    uint8_t* c; /* of the next row that ends */
    int32_t kept[6][64];
} v512_rows;

SQ_INLINE void v512_end_row(const sq_tile* t, v512_rows* rows, const v512_walk* at, const int i, const int q31) {
    v512_store_u8(rows->c, v512_levels_row(t->ep, &rows->levels, 4, q31, at->acc[i]), 64, 4);
    rows->c += t->ldc;
}

/* The next row begins in place i. */
SQ_INLINE void v512_new_row(v512_rows* rows, v512_walk* at, const int i) {
    v512_begin_row(at, i, rows->bias, *rows->sum);
    rows->sum += rows->sum_step;
}

/* Row i ends, and the one mr below takes its place. */
SQ_INLINE void v512_turn(const sq_tile* t, v512_rows* rows, v512_walk* at, const int i, const int mr, const int one_tap,
                         const int q31) {
    v512_walk_to(t, at, &rows->end[i], i, mr, one_tap);
    asm volatile("" : "+m"(*rows) : : "memory"); /* or so much is kept in registers that loops have too few */
    if (__builtin_expect(at->m == 0, 0))
#pragma GCC unroll 4
        for (int j = 0; j < 4; j++) _mm512_storeu_si512((void*)(rows->kept[i] + 16 * j), at->acc[i][j]);
    else
        v512_end_row(t, rows, at, i, q31);
    if (__builtin_expect(at->m == t->m - mr, 0))
        v512_begin_row(at, i, rows->kept[i], 0);
    else
        v512_new_row(rows, at, i);
    at->a[i] = t->a[at->tap * t->a_stride + at->m + i] + t->a_offset;
}

/* t->m is a multiple of mr, which is 5 or 6, and more than that, t->n is 64; kc is a multiple of 4. */
SQ_INLINE void v512_stagger(const sq_tile* t, const int mr, const int one_tap, const int q31) {
    static const int32_t none = 0;
    const int64_t last = t->m - mr;
    v512_rows rows;
    v512_walk at;
    rows.levels = v512_levels_of(t, 4, 1, q31);
    rows.bias = t->ep->bias + t->column;
    rows.sum = t->row_sums ? t->row_sums : &none, rows.sum_step = t->row_sums != NULL;
    rows.c = (uint8_t*)t->c;
    rows.sum += last * rows.sum_step;
    rows.end[mr] = v512_end_of(t->packed, mr, mr, one_tap);
#define SQ_ROW(i) (rows.end[i] = v512_end_of(t->packed, i, mr, one_tap), v512_new_row(&rows, &at, i))
    SQ_EACH_ROW(mr);
#undef SQ_ROW
    rows.sum -= t->m * rows.sum_step;
    at.m = 0, at.before = last;
    for (int64_t pass = 0;; pass++) {
        v512_rewind(t, &at, pass, mr);
#define SQ_ROW(i) v512_turn(t, &rows, &at, i, mr, one_tap, q31)
        SQ_EACH_ROW(mr);
#undef SQ_ROW
        v512_walk_to(t, &at, &rows.end[mr], mr, mr, one_tap);
        if (at.m == last) break;
        at.before = at.m, at.m += mr;
    }
#define SQ_ROW(i) v512_end_row(t, &rows, &at, i, q31)
    SQ_EACH_ROW(mr);
#undef SQ_ROW
}

#endif
