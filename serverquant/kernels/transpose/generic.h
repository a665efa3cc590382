/* The loops, written once and included for every instruction set with SQ_SUFFIX set: the compiler vectorises them. */
#define SQ_NAME(op) SQ_CONCAT(sq_##op, SQ_SUFFIX)

#define SQ_TRANSPOSE_2D(op, type)                                                                       \
    static void SQ_NAME(op)(const void* job, long long begin, long long end) {                          \
        const sq_transpose_job j = *(const sq_transpose_job*)job;                                       \
        for (long long item = begin; item < end; item++) {                                              \
            const sq_tile t = sq_tile_at(&j, item);                                                     \
            const type* restrict x = (const type*)j.x + t.batch * j.rows * j.cols;                      \
            type* restrict y = (type*)j.y + t.batch * j.rows * j.cols;                                  \
            for (long long c = t.col; c < t.col_end; c++)                                               \
                for (long long r = t.row; r < t.row_end; r++) y[c * j.rows + r] = x[r * j.cols + c];    \
        }                                                                                               \
    }

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

SQ_TRANSPOSE_2D(transpose_2d_1, uint8_t)
SQ_TRANSPOSE_2D(transpose_2d_2, uint16_t)
SQ_TRANSPOSE_2D(transpose_2d_4, uint32_t)
SQ_TRANSPOSE_2D(transpose_2d_8, uint64_t)
SQ_PERMUTE(permute_1, uint8_t)
SQ_PERMUTE(permute_2, uint16_t)
SQ_PERMUTE(permute_4, uint32_t)
SQ_PERMUTE(permute_8, uint64_t)
#undef SQ_TRANSPOSE_2D
#undef SQ_PERMUTE

#undef SQ_NAME
#undef SQ_SUFFIX
