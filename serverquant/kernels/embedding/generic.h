/* The loops, written once and included for every instruction set with SQ_SUFFIX set.
 * SQ_UNPACK(bits, from, to) gives the 16 values at `from` as floats in vectors of type SQ_V, on which SQ_V_... work. */
#define SQ_V_LANES ((int)(sizeof(SQ_V) / sizeof(float)))
#define SQ_NAME(op) SQ_CONCAT(sq_##op, SQ_SUFFIX)

SQ_INLINE void SQ_NAME(bags_prefetch)(const sq_bags_job* j, int64_t i, int64_t end, long long bytes) {
    if (i + SQ_BAGS_AHEAD >= end) return;
    const int64_t row = sq_bags_row(j, i + SQ_BAGS_AHEAD);
    if (row < 0) return;
    const char* at = (const char*)j->table + row * j->stride;
    for (long long b = 0; b < bytes; b += 64) __builtin_prefetch(at + b);
}

/* Fewer columns than a block: one value at a time. */
SQ_INLINE float SQ_NAME(bags_value)(const uint8_t* at, int bits, long long c) {
    if (bits == 32) return ((const float*)at)[c];
    if (bits == 16) return sq_from_half(((const uint16_t*)at)[c]);
    const int each = 8 / bits;
    return (float)(at[c / each] >> c % each * bits & ((1 << bits) - 1));
}

enum { SQ_NAME(BAGS_PER_PART) = 16 / SQ_V_LANES, SQ_NAME(BAGS_VECTORS) = SQ_BAGS_BLOCK / SQ_V_LANES };

/* Adds a block of columns of place i to `acc`. */
SQ_INLINE void SQ_NAME(bags_add)(const sq_bags_job* j, int64_t start, int64_t i, int64_t end, int bits, long long first,
                                 SQ_V* acc) {
    if (first == 0) SQ_NAME(bags_prefetch)(j, i, end, j->stride);
    const int64_t row = sq_bags_row(j, i);
    if (row < 0) return;
    const uint8_t* at = (const uint8_t*)j->table + row * j->stride;
    const float w = sq_bags_weight(j, start, i);
    float scale = 1, bias = 0;
    if (bits < 8)
        SQ_TWO_HALVES(sq_bags_tail(j, at, bits), &scale, &bias);
    else if (bits == 8)
        sq_bags_params(j, row, at, bits, &scale, &bias);
    const SQ_V by = SQ_V_SET(scale * w), from = SQ_V_SET(bias * w);
#pragma GCC unroll 4
    for (int part = 0; part < SQ_BAGS_BLOCK / 16; part++) {
        SQ_V values[SQ_NAME(BAGS_PER_PART)];
        SQ_UNPACK(bits, at + (first + 16 * part) * bits / 8, values);
#pragma GCC unroll 16
        for (int v = 0; v < SQ_NAME(BAGS_PER_PART); v++) {
            SQ_V* sum = &acc[part * SQ_NAME(BAGS_PER_PART) + v];
            *sum = SQ_V_FMA(values[v], by, bits <= 8 ? SQ_V_ADD(*sum, from) : *sum);
        }
    }
}

SQ_INLINE void SQ_NAME(bags_store)(const sq_bags_job* j, long long bag, long long first, const SQ_V* acc) {
    const int64_t length = j->starts[bag + 1] - j->starts[bag];
    const SQ_V factor = SQ_V_SET(j->mean && length ? 1.0f / (float)length : 1.0f);
#pragma GCC unroll 64
    for (int v = 0; v < SQ_NAME(BAGS_VECTORS); v++)
        SQ_V_STORE(j->y + bag * j->columns + first + v * SQ_V_LANES, SQ_V_MUL(acc[v], factor));
}

/* A whole block of columns of one bag: sums stay in registers. */
SQ_INLINE void SQ_NAME(bag_block)(const sq_bags_job* j, long long bag, int bits, long long first) {
    const int64_t start = j->starts[bag], end = j->starts[bag + 1];
    SQ_V acc[SQ_NAME(BAGS_VECTORS)];
#pragma GCC unroll 64
    for (int v = 0; v < SQ_NAME(BAGS_VECTORS); v++) acc[v] = SQ_V_SET(0.0f);
    for (int64_t i = start; i < end; i++) SQ_NAME(bags_add)(j, start, i, end, bits, first, acc);
    SQ_NAME(bags_store)(j, bag, first, acc);
}

/* The columns of one bag that fill no block. */
SQ_INLINE void SQ_NAME(bag_rest)(const sq_bags_job* j, long long bag, int bits, long long first, int count) {
    const int64_t start = j->starts[bag], end = j->starts[bag + 1];
    float acc[SQ_BAGS_BLOCK] = {0};
    float* y = j->y + bag * j->columns + first;
    for (int64_t i = start; i < end; i++) {
        if (first == 0) SQ_NAME(bags_prefetch)(j, i, end, j->stride);
        const int64_t row = sq_bags_row(j, i);
        if (row < 0) continue;
        const uint8_t* at = (const uint8_t*)j->table + row * j->stride;
        const float w = sq_bags_weight(j, start, i);
        float scale = 1, bias = 0;
        if (bits < 8)
            SQ_TWO_HALVES(sq_bags_tail(j, at, bits), &scale, &bias);
        else if (bits == 8)
            sq_bags_params(j, row, at, bits, &scale, &bias);
        scale *= w, bias *= w;
        for (int c = 0; c < count; c++)
            acc[c] = fmaf(SQ_NAME(bags_value)(at, bits, first + c), scale, bits <= 8 ? acc[c] + bias : acc[c]);
    }
    const float factor = j->mean && end > start ? 1.0f / (float)(end - start) : 1.0f;
    for (int c = 0; c < count; c++) y[c] = acc[c] * factor;
}

SQ_INLINE void SQ_NAME(bags)(const void* job, long long begin, long long end, int bits) {
    const sq_bags_job* j = (const sq_bags_job*)job;
    for (long long bag = begin; bag < end; bag++) {
        long long first = 0;
        for (; first + SQ_BAGS_BLOCK <= j->columns; first += SQ_BAGS_BLOCK) SQ_NAME(bag_block)(j, bag, bits, first);
        if (first < j->columns) SQ_NAME(bag_rest)(j, bag, bits, first, (int)(j->columns - first));
    }
}

static void SQ_NAME(bags_f32)(const void* job, long long begin, long long end) { SQ_NAME(bags)(job, begin, end, 32); }
static void SQ_NAME(bags_f16)(const void* job, long long begin, long long end) { SQ_NAME(bags)(job, begin, end, 16); }
static void SQ_NAME(bags_u8)(const void* job, long long begin, long long end) { SQ_NAME(bags)(job, begin, end, 8); }
static void SQ_NAME(bags_u4)(const void* job, long long begin, long long end) { SQ_NAME(bags)(job, begin, end, 4); }
static void SQ_NAME(bags_u2)(const void* job, long long begin, long long end) { SQ_NAME(bags)(job, begin, end, 2); }

#undef SQ_UNPACK
#undef SQ_TWO_HALVES
#undef SQ_V
#undef SQ_V_LANES
#undef SQ_V_SET
#undef SQ_V_ADD
#undef SQ_V_MUL
#undef SQ_V_FMA
#undef SQ_V_STORE
#undef SQ_NAME
#undef SQ_SUFFIX
