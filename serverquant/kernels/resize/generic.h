/* The loops, written once and included for every instruction set with SQ_SUFFIX set. */
#define SQ_NAME(op) SQ_CONCAT(sq_##op, SQ_SUFFIX)

/* A row that comes from the same place as the one before is a copy of it. */
#define SQ_REMAP(op, type)                                                                              \
    static void SQ_NAME(op)(const void* job, long long begin, long long end) {                          \
        const sq_remap_job j = *(const sq_remap_job*)job;                                               \
        const int32_t* restrict map = j.map[2];                                                         \
        const int64_t width = j.to[2];                                                                  \
        int64_t before = -1;                                                                            \
        for (long long item = begin; item < end; item++) {                                              \
            type* restrict y = (type*)j.y + item * width;                                               \
            const int64_t row = sq_source_row(&j, item);                                                \
            const type* restrict fill = (const type*)j.fill;                                            \
            const type* restrict x = (const type*)j.x + row * j.from[2];                                \
            if (row < 0) memcpy(y, fill, sizeof(type) * (size_t)width);                                 \
            else if (row == before) memcpy(y, y - width, sizeof(type) * (size_t)width);                 \
            else if (j.doubled) {                                                                       \
                for (int64_t i = 0; i < width / 2; i++) y[2 * i] = y[2 * i + 1] = x[i];                 \
            } else {                                                                                    \
                for (int64_t i = 0; i < j.run[0]; i++) y[i] = map[i] < 0 ? fill[i] : x[map[i]];         \
                if (j.run[1] > j.run[0])                                                                \
                    memcpy(y + j.run[0], x + map[j.run[0]], sizeof(type) * (size_t)(j.run[1] - j.run[0])); \
                for (int64_t i = j.run[1]; i < width; i++) y[i] = map[i] < 0 ? fill[i] : x[map[i]];     \
            }                                                                                           \
            before = row;                                                                               \
        }                                                                                               \
    }

SQ_REMAP(remap_1, uint8_t)
SQ_REMAP(remap_2, uint16_t)
SQ_REMAP(remap_4, uint32_t)
SQ_REMAP(remap_8, uint64_t)
#undef SQ_REMAP

/* Columns at a time: two rows of them, interpolated along the row, are kept, since rows of y share rows of x. */
#define SQ_COLUMNS 256

static void SQ_NAME(bilinear_f32)(const void* job, long long begin, long long end) {
    const sq_bilinear_job j = *(const sq_bilinear_job*)job;
    const sq_side *rows = &j.rows, *columns = &j.columns;
    float kept[2][SQ_COLUMNS];
    for (int64_t start = 0; start < columns->to; start += SQ_COLUMNS) {
        const int n = (int)(columns->to - start < SQ_COLUMNS ? columns->to - start : SQ_COLUMNS);
        const int32_t *restrict first = columns->first + start, *restrict second = columns->second + start;
        const float* restrict weight = columns->weight + start;
        int64_t have[2] = {-1, -1};
        for (long long item = begin; item < end; item++) {
            const int64_t plane = item / rows->to, i = item % rows->to;
            const int64_t want[2] = {plane * rows->from + rows->first[i], plane * rows->from + rows->second[i]};
            for (int k = 0; k < 2; k++) {
                if (have[k] == want[k]) continue;
                if (have[1 - k] == want[k]) {
                    memcpy(kept[k], kept[1 - k], sizeof kept[k]);
                } else {
                    const float* restrict x = j.x + want[k] * columns->from;
                    float* restrict row = kept[k];
                    for (int c = 0; c < n; c++) row[c] = sq_between(x[first[c]], x[second[c]], weight[c]);
                }
                have[k] = want[k];
            }
            float* restrict y = j.y + item * columns->to + start;
            const float v = rows->weight[i];
            for (int c = 0; c < n; c++) y[c] = sq_between(kept[0][c], kept[1][c], v);
        }
    }
}

#undef SQ_COLUMNS
#undef SQ_NAME
#undef SQ_SUFFIX
