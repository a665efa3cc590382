/* The loops, written once and included for every instruction set with SQ_SUFFIX set.
 * SQ_UNPACK(bits, from, to) gives the 16 values at `from` as floats in vectors of type SQ_V, on which SQ_V_... work;
 * SQ_V_SET(x) and SQ_V_SAME(p) have x and the float at p in all lanes.
 * Columns go in parts of 16; SQ_PARTS of them have their sums in registers. */
#define SQ_V_LANES ((int)(sizeof(SQ_V) / sizeof(float)))
#define SQ_NAME(op) SQ_CONCAT(sq_##op, SQ_SUFFIX)

enum { SQ_NAME(BAGS_VECTORS) = 16 / SQ_V_LANES }; /* of a part */

/* The rows of places begin <= i < end; 0 where an index is outside. The compiler vectorises loops without a way out. */
SQ_INLINE int SQ_NAME(bags_find)(const sq_bags_job* j, int64_t begin, int64_t end) {
    if (j->map) return sq_bags_find_mapped(j, begin, end);
    const uint64_t table = (uintptr_t)j->table, stride = j->stride, last = j->rows - 1;
    const int64_t* const wide = (const int64_t*)j->indices;
    const int32_t* const narrow = (const int32_t*)j->indices;
    const uint8_t** const found = j->found;
    uint64_t outside = 0; /* the highest bit of a number below 0 is set */
    if (j->wide_indices)
        for (int64_t i = begin; i < end; i++) {
            const uint64_t row = wide[i];
            outside |= row | (last - row), found[i] = (const uint8_t*)(uintptr_t)(table + row * stride);
        }
    else
        for (int64_t i = begin; i < end; i++) {
            const uint64_t row = (int64_t)narrow[i];
            outside |= row | (last - row), found[i] = (const uint8_t*)(uintptr_t)(table + row * stride);
        }
    if (outside >> 63) return 0;
    if (j->edge)
        for (int64_t i = begin; i < end; i++) found[i] = sq_bags_readable(j, found[i]);
    return 1;
}

/* Adds the row of place i to `acc`. */
SQ_INLINE void SQ_NAME(bags_add)(const sq_bags_block* k, const sq_bags_lane* lane, int64_t i, SQ_V* acc) {
    const uint8_t* row = k->found[i];
    if (!k->plain && !row) return;
    SQ_V by = SQ_V_SET(1.0f), from = SQ_V_SET(0.0f);
    if (k->bits == 8) {
        const uint8_t* params = row + k->tail;
        if (!k->plain && k->job->apart) params = sq_bags_apart(k->job, i);
        by = SQ_V_SAME(params), from = SQ_V_SAME(params + 4);
    }
    if (k->bits < 8) SQ_TWO_HALVES(row + k->tail, &by, &from);
    if (!k->plain && k->job->weights) {
        const SQ_V w = SQ_V_SET(k->job->weights[i - lane->origin]);
        by = SQ_V_MUL(by, w), from = SQ_V_MUL(from, w);
    }
#pragma GCC unroll 8
    for (int part = 0; part < k->parts; part++) {
        SQ_V values[SQ_NAME(BAGS_VECTORS)];
        SQ_UNPACK(k->bits, row + part * 2 * k->bits, values);
#pragma GCC unroll 16
        for (int v = 0; v < SQ_NAME(BAGS_VECTORS); v++) {
            SQ_V* sum = &acc[part * SQ_NAME(BAGS_VECTORS) + v];
            *sum = SQ_V_FMA(values[v], by, k->bits <= 8 ? SQ_V_ADD(*sum, from) : *sum);
        }
    }
}

/* Writes the sums of a bag, whose columns end in the last part. */
SQ_INLINE void SQ_NAME(bags_store)(const sq_bags_block* k, long long bag, const SQ_V* acc) {
    float *y = k->job->y + bag * k->job->columns + k->first, last[16];
    const SQ_V factor = SQ_V_SET(sq_bags_factor(k->job, bag));
    const int rest = k->columns - 16 * (k->parts - 1);
#pragma GCC unroll 8
    for (int part = 0; part < k->parts; part++) {
        float* to = part < k->parts - 1 || rest == 16 ? y + 16 * part : last;
#pragma GCC unroll 16
        for (int v = 0; v < SQ_NAME(BAGS_VECTORS); v++)
            SQ_V_STORE(to + v * SQ_V_LANES, SQ_V_MUL(acc[part * SQ_NAME(BAGS_VECTORS) + v], factor));
    }
    if (rest < 16) memcpy(y + 16 * (k->parts - 1), last, rest * sizeof(float));
}

/* Begins a bag: its first rows are asked for unless they have been. The next place to ask for. */
SQ_INLINE int64_t SQ_NAME(bags_take)(const sq_bags_block* k, sq_bags_lane* lane, long long bag, int64_t soon,
                                     int64_t last, SQ_V* acc) {
    *lane = sq_bags_lane_of(k->job, bag);
    const int64_t wanted = lane->i + sq_bags_ahead(k) < last ? lane->i + sq_bags_ahead(k) : last;
    for (; soon < wanted; soon++) sq_bags_prefetch(k, soon);
#pragma GCC unroll 64
    for (int v = 0; v < k->parts * SQ_NAME(BAGS_VECTORS); v++) acc[v] = SQ_V_SET(0.0f);
    return soon;
}

/* Adds the next n rows of a bag. The next place to ask for. */
SQ_INLINE int64_t SQ_NAME(bags_run)(const sq_bags_block* k, sq_bags_lane* one, int64_t n, int64_t soon, int64_t last,
                                    SQ_V* sums) {
    const int64_t ahead = soon - one->i, end = one->i + n, asking = end + ahead < last ? end : last - ahead;
    for (; one->i < asking; one->i++) {
        sq_bags_prefetch(k, one->i + ahead);
        SQ_NAME(bags_add)(k, one, one->i, sums);
    }
    for (; one->i < end; one->i++) SQ_NAME(bags_add)(k, one, one->i, sums);
    return asking + ahead;
}

/* Adds the next n rows of two bags at the same time. The next place to ask for. */
SQ_INLINE int64_t SQ_NAME(bags_run_two)(const sq_bags_block* k, sq_bags_lane* one, sq_bags_lane* two, int64_t n,
                                        int64_t soon, int64_t last, SQ_V* sums, SQ_V* others) {
    for (const int64_t end = one->i + n; one->i < end; one->i++, two->i++) {
        if (__builtin_expect(soon + 1 < last, 1)) {
            sq_bags_prefetch(k, soon), sq_bags_prefetch(k, soon + 1);
            soon += 2;
        }
        SQ_NAME(bags_add)(k, one, one->i, sums);
        SQ_NAME(bags_add)(k, two, two->i, others);
    }
    return soon;
}

/* See sq_bags_block_fn. A sum waits for the one before it, so two bags with short rows are summed at the same time; not
 * with rows of floats, which are waited for longer. */
SQ_INLINE void SQ_NAME(bags_block)(const sq_bags_block* k, long long begin, long long end, int64_t last) {
    int64_t soon = k->job->starts[begin]; /* the next place to ask for */
    sq_bags_lane one, two;
    SQ_V sums[SQ_PARTS * SQ_NAME(BAGS_VECTORS)], others[SQ_PARTS * SQ_NAME(BAGS_VECTORS)];
    long long next = begin;
    soon = SQ_NAME(bags_take)(k, &one, next++, soon, last, sums);
    if (k->bits <= 16 && k->parts * 2 <= SQ_PARTS && next < end) {
        soon = SQ_NAME(bags_take)(k, &two, next++, soon, last, others);
        for (;;) {
            const int64_t left = one.end - one.i, left_two = two.end - two.i;
            soon = SQ_NAME(bags_run_two)(k, &one, &two, left < left_two ? left : left_two, soon, last, sums, others);
            if (two.i == two.end) {
                SQ_NAME(bags_store)(k, two.bag, others);
                if (next == end) break;
                soon = SQ_NAME(bags_take)(k, &two, next++, soon, last, others);
            }
            if (one.i == one.end) {
                SQ_NAME(bags_store)(k, one.bag, sums);
                if (next == end) {
                    one = two;
#pragma GCC unroll 64
                    for (int v = 0; v < k->parts * SQ_NAME(BAGS_VECTORS); v++) sums[v] = others[v];
                    break;
                }
                soon = SQ_NAME(bags_take)(k, &one, next++, soon, last, sums);
            }
        }
    }
    for (;;) {
        soon = SQ_NAME(bags_run)(k, &one, one.end - one.i, soon, last, sums);
        SQ_NAME(bags_store)(k, one.bag, sums);
        if (next == end) break;
        soon = SQ_NAME(bags_take)(k, &one, next++, soon, last, sums);
    }
}

/* blocks: functions for 1 to SQ_PARTS parts. A bag of wide rows is done block by block while its rows are in the
 * cache. */
SQ_INLINE void SQ_NAME(bags)(const sq_bags_job* j, long long begin, long long end, int bits,
                             const sq_bags_block_fn* blocks) {
    const int64_t last = j->starts[end];
    if (!SQ_NAME(bags_find)(j, j->starts[begin], last)) {
        *j->outside = 1;
        return;
    }
    const long long step = j->columns <= 16 * SQ_PARTS ? end - begin : 1;
    for (long long bag = begin; bag < end; bag += step)
        for (long long first = 0; first < j->columns; first += 16 * SQ_PARTS) {
            const long long parts = (j->columns - first + 15) / 16;
            if (first) sq_bags_advance(j, bag, 16 * SQ_PARTS * bits / 8);
            blocks[(parts < SQ_PARTS ? parts : SQ_PARTS) - 1](j, first, bag, bag + step, last);
        }
}

/* A block is a function of its own, compiled for its constants, so that its loops have all registers. */
#define SQ_BLOCK(parts, type, bits, plain)                                                                           \
    static __attribute__((noinline)) void SQ_NAME(bags_##type##_##parts##_##plain)(                                  \
        const sq_bags_job* j, long long first, long long begin, long long end, int64_t last) {                       \
        const sq_bags_block block = sq_bags_block_of(j, bits, parts, plain, first);                                  \
        SQ_NAME(bags_block)(&block, begin, end, last);                                                               \
    }
#define SQ_BLOCK_NAME(parts, type, bits, plain) SQ_NAME(bags_##type##_##parts##_##plain),
#define SQ_EACH_BLOCK(give, type, bits, plain) SQ_CONCAT(SQ_UP_TO, SQ_PARTS)(give, type, bits, plain)
#define SQ_TYPE(type, bits)                                                                                          \
    SQ_EACH_BLOCK(SQ_BLOCK, type, bits, 0)                                                                           \
    SQ_EACH_BLOCK(SQ_BLOCK, type, bits, 1)                                                                           \
    static void SQ_NAME(bags_##type)(const void* job, long long begin, long long end) {                              \
        static const sq_bags_block_fn blocks[2][SQ_PARTS] = {{SQ_EACH_BLOCK(SQ_BLOCK_NAME, type, bits, 0)},          \
                                                             {SQ_EACH_BLOCK(SQ_BLOCK_NAME, type, bits, 1)}};         \
        const sq_bags_job* j = (const sq_bags_job*)job;                                                              \
        SQ_NAME(bags)(j, begin, end, bits, blocks[sq_bags_plain(j)]);                                                \
    }
SQ_TYPE(f32, 32)
SQ_TYPE(f16, 16)
SQ_TYPE(u8, 8)
SQ_TYPE(u4, 4)
SQ_TYPE(u2, 2)

#undef SQ_BLOCK
#undef SQ_BLOCK_NAME
#undef SQ_EACH_BLOCK
#undef SQ_TYPE
#undef SQ_UNPACK
#undef SQ_TWO_HALVES
#undef SQ_PARTS
#undef SQ_V
#undef SQ_V_LANES
#undef SQ_V_SET
#undef SQ_V_SAME
#undef SQ_V_ADD
#undef SQ_V_MUL
#undef SQ_V_FMA
#undef SQ_V_STORE
#undef SQ_NAME
#undef SQ_SUFFIX
