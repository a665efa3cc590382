/* The loops, written once and included for every instruction set with SQ_SUFFIX set: the compiler vectorises them.
 * `ivdep`: an output may be an input itself, never shifted against it.
 */
#define SQ_NAME(op) SQ_CONCAT(sq_##op, SQ_SUFFIX)

/* A call: then the common case needs no frame, and a loop is there once. */
#ifndef SQ_APART
#define SQ_APART __attribute__((noinline))
#endif

/* Elements handled at a time: they stay in the first cache. */
#define SQ_BLOCK 1024

/* `n` elements of an input that does not step by one, side by side: one loop then serves every broadcast. */
#define SQ_SPREAD(type)                                                                                 \
    static const type* SQ_NAME(spread_##type)(const type* x, int64_t stride, int64_t n, type* buffer) { \
        if (stride == 1) return x;                                                                      \
        if (stride == 0) for (int64_t i = 0; i < n; i++) buffer[i] = x[0];                              \
        else for (int64_t i = 0; i < n; i++) buffer[i] = x[i * stride];                                 \
        return buffer;                                                                                  \
    }
SQ_SPREAD(float)
SQ_SPREAD(double)
SQ_SPREAD(uint8_t)
SQ_SPREAD(int32_t)
SQ_SPREAD(uint32_t)
SQ_SPREAD(int64_t)
SQ_SPREAD(uint64_t)
#undef SQ_SPREAD

/* Elements side by side, then a row of the grid, then all rows of a range. */
#define SQ_BINARY(op, from, to, value)                                                                                 \
    static SQ_APART void SQ_NAME(op##_dense)(const from* pa, const from* pb, to* py, int64_t n) {                      \
        _Pragma("GCC ivdep") for (int64_t i = 0; i < n; i++) {                                                         \
            const from a = pa[i], b = pb[i];                                                                           \
            py[i] = (to)(value);                                                                                       \
        }                                                                                                              \
    }                                                                                                                  \
    static SQ_APART void SQ_NAME(op##_spread)(const from* a, int64_t a_stride, const from* b, int64_t b_stride, to* y, \
                                              int64_t n) {                                                             \
        from a_row[SQ_BLOCK], b_row[SQ_BLOCK];                                                                         \
        for (int64_t at = 0; at < n; at += SQ_BLOCK) {                                                                 \
            const int64_t count = n - at < SQ_BLOCK ? n - at : SQ_BLOCK;                                               \
            const from* pa = SQ_NAME(spread_##from)(a + at * a_stride, a_stride, count, a_row);                        \
            const from* pb = SQ_NAME(spread_##from)(b + at * b_stride, b_stride, count, b_row);                        \
            SQ_NAME(op##_dense)(pa, pb, y + at, count);                                                                \
        }                                                                                                              \
    }                                                                                                                  \
    SQ_INLINE void SQ_NAME(op##_row)(const sq_binary_job* j, int64_t a, int64_t b, int64_t y, int64_t n) {             \
        const int last = j->ndim - 1;                                                                                  \
        const from* pa = (const from*)j->a + a;                                                                        \
        const from* pb = (const from*)j->b + b;                                                                        \
        if (j->a_strides[last] == 1 && j->b_strides[last] == 1)                                                        \
            SQ_NAME(op##_dense)(pa, pb, (to*)j->y + y, n);                                                             \
        else                                                                                                           \
            SQ_NAME(op##_spread)(pa, j->a_strides[last], pb, j->b_strides[last], (to*)j->y + y, n);                    \
    }                                                                                                                  \
    static SQ_APART void SQ_NAME(op##_rows)(const sq_binary_job* j, long long begin, long long end) {                  \
        const int last = j->ndim - 1;                                                                                  \
        while (begin < end) {                                                                                          \
            int64_t a = 0, b = 0, rest = begin / j->dims[last], within = begin % j->dims[last];                        \
            for (int d = last - 1; d >= 0; d--) {                                                                      \
                a += rest % j->dims[d] * j->a_strides[d];                                                              \
                b += rest % j->dims[d] * j->b_strides[d];                                                              \
                rest /= j->dims[d];                                                                                    \
            }                                                                                                          \
            int64_t n = j->dims[last] - within;                                                                        \
            n = n < end - begin ? n : end - begin;                                                                     \
            SQ_NAME(op##_row)(j, a + within * j->a_strides[last], b + within * j->b_strides[last], begin, n);          \
            begin += n;                                                                                                \
        }                                                                                                              \
    }                                                                                                                  \
    static void SQ_NAME(op)(const void* job, long long begin, long long end) {                                         \
        const sq_binary_job* j = job;                                                                                  \
        if (j->ndim > 1)                                                                                               \
            SQ_NAME(op##_rows)(j, begin, end);                                                                         \
        else                                                                                                           \
            SQ_NAME(op##_row)(j, begin * j->a_strides[0], begin * j->b_strides[0], begin, end - begin);                \
    }

#define SQ_FOLD(op, type, step, finish)                                                                 \
    SQ_INLINE type SQ_NAME(op##_step)(type y, type x) { return (type)(step); }                          \
    SQ_INLINE type SQ_NAME(op##_finish)(type y, int count) { (void)count; return (type)(finish); }      \
    static void SQ_NAME(op)(const void* job, long long begin, long long end) {                          \
        const sq_fold_job j = *(const sq_fold_job*)job;                                                 \
        type acc[SQ_BLOCK];                                                                             \
        for (long long i = begin; i < end; i += SQ_BLOCK) {                                             \
            const int count = end - i < SQ_BLOCK ? (int)(end - i) : SQ_BLOCK;                           \
            memcpy(acc, (const type*)j.inputs[0] + i, sizeof(type) * count);                            \
            for (int t = 1; t < j.count; t++) {                                                         \
                const type* x = (const type*)j.inputs[t] + i;                                           \
                for (int k = 0; k < count; k++) acc[k] = SQ_NAME(op##_step)(acc[k], x[k]);              \
            }                                                                                           \
            type* y = (type*)j.y + i;                                                                   \
            for (int k = 0; k < count; k++) y[k] = SQ_NAME(op##_finish)(acc[k], j.count);               \
        }                                                                                               \
    }

#include "maps.inc"

#undef SQ_FOLD
#undef SQ_BINARY
#undef SQ_BLOCK
#undef SQ_NAME
#undef SQ_SUFFIX
