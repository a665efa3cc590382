/* The loops, written once and included for every instruction set with SQ_SUFFIX set. SQ_REGISTER_BLOCKS: square
 * blocks are transposed by the hand-made functions of avx2.h.
 */
#define SQ_NAME(op) SQ_CONCAT(sq_##op, SQ_SUFFIX)

/* The elements of x in rows row.. and columns col.., one by one. */
#define SQ_ONE_BY_ONE(row, row_end, col, col_end)   \
    for (long long c = col; c < col_end; c++)       \
        for (long long r = row; r < row_end; r++) y[c * j.rows + r] = x[r * j.cols + c];

/* `part` moves the rows and columns of tile t. */
#define SQ_TRANSPOSE_2D(op, type, part)                                                                 \
    static void SQ_NAME(op)(const void* job, long long begin, long long end) {                          \
        const sq_transpose_job j = *(const sq_transpose_job*)job;                                       \
        for (long long item = begin; item < end; item++) {                                              \
            const sq_tile t = sq_tile_at(&j, item);                                                     \
            const type* restrict x = (const type*)j.x + t.batch * j.rows * j.cols;                      \
            type* restrict y = (type*)j.y + t.batch * j.rows * j.cols;                                  \
            SQ_THREES                                                                                   \
            part                                                                                        \
        }                                                                                               \
    }

#define SQ_PLAIN SQ_ONE_BY_ONE(t.row, t.row_end, t.col, t.col_end)

/* Three planes into pixels of three, and back: with the 3 a constant the compiler shuffles whole vectors. */
#define SQ_THREES                                                                                       \
    if (j.rows == 3) {                                                                                  \
        for (long long c = t.col; c < t.col_end; c++)                                                   \
            for (int r = 0; r < 3; r++) y[c * 3 + r] = x[r * j.cols + c];                               \
        continue;                                                                                       \
    }                                                                                                   \
    if (j.cols == 3) {                                                                                  \
        for (long long r = t.row; r < t.row_end; r++)                                                   \
            for (int c = 0; c < 3; c++) y[c * j.rows + r] = x[r * 3 + c];                               \
        continue;                                                                                       \
    }

/* Square blocks first, then the strips to their right and below. Rows a power of two apart share few places in the
 * cache, so a line must be done with at once. Where x has the longer pitch, the blocks of one line of x follow one
 * another; else `pair` takes two blocks, one below the other, whose stores fill a line of y.
 */
#define SQ_BLOCKED(size, block, pair)                                                               \
    const long long row_stop = t.row + (t.row_end - t.row) / size * size;                           \
    const long long col_stop = t.col + (t.col_end - t.col) / size * size;                           \
    if (j.rows > j.cols) {                                                                          \
        for (long long c = t.col; c < col_stop; c += size) {                                        \
            long long r = t.row;                                                                    \
            for (; r + 2 * size <= row_stop; r += 2 * size)                                         \
                pair(x + r * j.cols + c, j.cols, y + c * j.rows + r, j.rows);                       \
            if (r < row_stop) block(x + r * j.cols + c, j.cols, y + c * j.rows + r, j.rows);        \
        }                                                                                           \
    } else {                                                                                        \
        const long long line = 2 * size;                                                            \
        for (long long strip = t.col; strip < col_stop; strip += line)                              \
            for (long long r = t.row; r < row_stop; r += size)                                      \
                for (long long c = strip; c < sq_least(strip + line, col_stop); c += size)          \
                    block(x + r * j.cols + c, j.cols, y + c * j.rows + r, j.rows);                  \
    }                                                                                               \
    SQ_ONE_BY_ONE(t.row, row_stop, col_stop, t.col_end)                             \
    SQ_ONE_BY_ONE(row_stop, t.row_end, t.col, t.col_end)

#define SQ_PERMUTE(op, type)                                                                            \
    static void SQ_NAME(op)(const void* job, long long begin, long long end) {                          \
        const sq_permute_job* j = job;                                                                  \
        const int64_t inner = j->dims[j->ndim - 1], stride = j->strides[j->ndim - 1];                   \
        type* restrict y = (type*)j->y;                                                                 \
        while (begin < end) {                                                                           \
            const int64_t within = begin % inner;                                                       \
            const int64_t left = inner - within, n = left < end - begin ? left : end - begin;           \
            const type* restrict x = (const type*)j->x + sq_outer_offset(j, begin / inner) + within * stride; \
            if (stride == 1) memcpy(y + begin, x, sizeof(type) * (size_t)n);                            \
            else for (int64_t i = 0; i < n; i++) y[begin + i] = x[i * stride];                          \
            begin += n;                                                                                 \
        }                                                                                               \
    }

#ifdef SQ_REGISTER_BLOCKS
SQ_TRANSPOSE_2D(transpose_2d_1, uint8_t, SQ_BLOCKED(SQ_BLOCK_1, sq_block_1, sq_pair_1))
SQ_TRANSPOSE_2D(transpose_2d_4, uint32_t, SQ_BLOCKED(SQ_BLOCK_4, sq_block_4, sq_pair_4))
#else
SQ_TRANSPOSE_2D(transpose_2d_1, uint8_t, SQ_PLAIN)
SQ_TRANSPOSE_2D(transpose_2d_4, uint32_t, SQ_PLAIN)
#endif
SQ_TRANSPOSE_2D(transpose_2d_2, uint16_t, SQ_PLAIN)
SQ_TRANSPOSE_2D(transpose_2d_8, uint64_t, SQ_PLAIN)
SQ_PERMUTE(permute_1, uint8_t)
SQ_PERMUTE(permute_2, uint16_t)
SQ_PERMUTE(permute_4, uint32_t)
SQ_PERMUTE(permute_8, uint64_t)
#undef SQ_TRANSPOSE_2D
#undef SQ_PLAIN
#undef SQ_THREES
#undef SQ_BLOCKED
#undef SQ_ONE_BY_ONE
#undef SQ_PERMUTE

#undef SQ_NAME
#undef SQ_SUFFIX
#undef SQ_REGISTER_BLOCKS
