/* The loops, written once and included for every instruction set with SQ_SUFFIX set: the compiler vectorises them.
 * SQ_UNPACK(bits, from, to) writes the SQ_BAGS_BLOCK values at `from` as floats. */
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

/* Adds columns `first` .. `first + count` of one row. */
SQ_INLINE void SQ_NAME(bags_row)(const sq_bags_job* j, int64_t row, float w, int bits, long long first, int count,
                                 float* acc) {
    const uint8_t* at = (const uint8_t*)j->table + row * j->stride;
    const int quantized = bits <= 8;
    float scale = 1, bias = 0, values[SQ_BAGS_BLOCK];
    if (quantized) sq_bags_params(j, row, at, bits, &scale, &bias);
    scale *= w, bias *= w;
    if (count == SQ_BAGS_BLOCK)
        SQ_UNPACK(bits, at + first * bits / 8, values);
    else
        for (int c = 0; c < count; c++) values[c] = SQ_NAME(bags_value)(at, bits, first + c);
    for (int c = 0; c < count; c++) acc[c] = fmaf(values[c], scale, quantized ? acc[c] + bias : acc[c]);
}

/* `count` columns of one bag. */
SQ_INLINE void SQ_NAME(bag_columns)(const sq_bags_job* j, long long bag, int bits, long long first, int count) {
    const int64_t start = j->starts[bag], end = j->starts[bag + 1];
    float acc[SQ_BAGS_BLOCK] = {0};
    float* y = j->y + bag * j->columns + first;
    for (int64_t i = start; i < end; i++) {
        if (first == 0) SQ_NAME(bags_prefetch)(j, i, end, j->stride);
        const int64_t row = sq_bags_row(j, i);
        if (row >= 0) SQ_NAME(bags_row)(j, row, sq_bags_weight(j, start, i), bits, first, count, acc);
    }
    const float factor = j->mean && end > start ? 1.0f / (float)(end - start) : 1.0f;
    for (int c = 0; c < count; c++) y[c] = acc[c] * factor;
}

SQ_INLINE void SQ_NAME(bags)(const void* job, long long begin, long long end, int bits) {
    const sq_bags_job* j = (const sq_bags_job*)job;
    for (long long bag = begin; bag < end; bag++) {
        long long first = 0;
        for (; first + SQ_BAGS_BLOCK <= j->columns; first += SQ_BAGS_BLOCK)
            SQ_NAME(bag_columns)(j, bag, bits, first, SQ_BAGS_BLOCK);
        if (first < j->columns) SQ_NAME(bag_columns)(j, bag, bits, first, (int)(j->columns - first));
    }
}

static void SQ_NAME(bags_f32)(const void* job, long long begin, long long end) { SQ_NAME(bags)(job, begin, end, 32); }
static void SQ_NAME(bags_f16)(const void* job, long long begin, long long end) { SQ_NAME(bags)(job, begin, end, 16); }
static void SQ_NAME(bags_u8)(const void* job, long long begin, long long end) { SQ_NAME(bags)(job, begin, end, 8); }
static void SQ_NAME(bags_u4)(const void* job, long long begin, long long end) { SQ_NAME(bags)(job, begin, end, 4); }
static void SQ_NAME(bags_u2)(const void* job, long long begin, long long end) { SQ_NAME(bags)(job, begin, end, 2); }

#undef SQ_UNPACK
#undef SQ_NAME
#undef SQ_SUFFIX
