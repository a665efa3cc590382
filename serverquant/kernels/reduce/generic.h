/* The loops, written once and included for every instruction set with SQ_SUFFIX set: the compiler vectorises them. */
#define SQ_NAME(op) SQ_CONCAT(sq_##op, SQ_SUFFIX)
#define SQ_LANES 16
#define SQ_BLOCK 256 /* neighbours whose running values stay in the first cache */

#define SQ_REDUCE(op, type, start, step, join)                                                          \
    SQ_INLINE type SQ_NAME(op##_step)(type y, type x) { return (type)(step); }                          \
    SQ_INLINE type SQ_NAME(op##_join)(type y, type x) { return (type)(join); }                          \
    static type SQ_NAME(op##_line)(const type* x, long long n) {                                        \
        type s[SQ_LANES];                                                                               \
        long long i = 0;                                                                                \
        const type* x0 = x;                                                                             \
        for (int k = 0; k < SQ_LANES; k++) s[k] = (type)(start);                                        \
        (void)x0;                                                                                       \
        for (; i + SQ_LANES <= n; i += SQ_LANES)                                                        \
            for (int k = 0; k < SQ_LANES; k++) s[k] = SQ_NAME(op##_step)(s[k], x[i + k]);               \
        for (int k = 0; i + k < n; k++) s[k] = SQ_NAME(op##_step)(s[k], x[i + k]);                      \
        for (int half = SQ_LANES / 2; half > 0; half /= 2)                                              \
            for (int k = 0; k < half; k++) s[k] = SQ_NAME(op##_join)(s[k], s[k + half]);                \
        return s[0];                                                                                    \
    }                                                                                                   \
    static void SQ_NAME(op##_columns)(const type* x, long long n, long long inner, int count, type* y) { \
        type s[SQ_BLOCK];                                                                               \
        for (int k = 0; k < count; k++) {                                                               \
            const type* x0 = x + k;                                                                     \
            s[k] = (type)(start);                                                                       \
            (void)x0;                                                                                   \
        }                                                                                               \
        for (long long i = 0; i < n; i++, x += inner)                                                   \
            for (int k = 0; k < count; k++) s[k] = SQ_NAME(op##_step)(s[k], x[k]);                      \
        memcpy(y, s, sizeof(type) * count);                                                             \
    }                                                                                                   \
    static void SQ_NAME(op)(const void* job, long long begin, long long end) {                          \
        const sq_reduce_job j = *(const sq_reduce_job*)job;                                             \
        const type* x = j.x;                                                                            \
        type* y = j.y;                                                                                  \
        if (j.inner == 1) {                                                                             \
            for (long long i = begin; i < end; i++) y[i] = SQ_NAME(op##_line)(x + i * j.n, j.n);        \
            return;                                                                                     \
        }                                                                                               \
        while (begin < end) {                                                                           \
            const long long o = begin / j.inner, at = begin % j.inner;                                  \
            long long count = j.inner - at < end - begin ? j.inner - at : end - begin;                  \
            count = count < SQ_BLOCK ? count : SQ_BLOCK;                                                \
            SQ_NAME(op##_columns)(x + o * j.n * j.inner + at, j.n, j.inner, (int)count, y + begin);     \
            begin += count;                                                                             \
        }                                                                                               \
    }

#define SQ_ARG(op, type, better)                                                                        \
    static void SQ_NAME(op##_columns)(const type* data, long long n, long long inner, int count, int64_t* best) { \
        type value[SQ_BLOCK];                                                                           \
        int64_t place[SQ_BLOCK];                                                                        \
        for (int k = 0; k < count; k++) place[k] = 0;                                                   \
        if (n > 0) memcpy(value, data, sizeof(type) * count);                                                    \
        for (long long i = 1; i < n; i++)                                                               \
            for (int k = 0; k < count; k++) {                                                           \
                const type x = data[i * inner + k], y = value[k];                                       \
                const int is_better = better;                                                           \
                value[k] = is_better ? x : y;                                                           \
                place[k] = is_better ? i : place[k];                                                    \
            }                                                                                           \
        memcpy(best, place, sizeof(int64_t) * count);                                                   \
    }                                                                                                   \
    /* The best by lanes, then the first that equals it: never a NaN, which equals nothing, but in front. */ \
    static int64_t SQ_NAME(op##_line)(const type* data, long long n) {                                  \
        type s[SQ_LANES];                                                                               \
        long long i = 0;                                                                                \
        if (n <= 0 || data[0] != data[0]) return 0;                                                     \
        for (int k = 0; k < SQ_LANES; k++) s[k] = data[0];                                              \
        for (; i + SQ_LANES <= n; i += SQ_LANES)                                                        \
            for (int k = 0; k < SQ_LANES; k++) {                                                        \
                const type x = data[i + k], y = s[k];                                                   \
                s[k] = (better) ? x : y;                                                                \
            }                                                                                           \
        for (int k = 0; i + k < n; k++) {                                                               \
            const type x = data[i + k], y = s[k];                                                       \
            s[k] = (better) ? x : y;                                                                    \
        }                                                                                               \
        for (int half = SQ_LANES / 2; half > 0; half /= 2)                                              \
            for (int k = 0; k < half; k++) {                                                            \
                const type x = s[k + half], y = s[k];                                                   \
                s[k] = (better) ? x : y;                                                                \
            }                                                                                           \
        for (i = 0; i + SQ_LANES <= n; i += SQ_LANES) {                                                 \
            int found = 0;                                                                              \
            for (int k = 0; k < SQ_LANES; k++) found |= data[i + k] == s[0];                            \
            if (found) break;                                                                           \
        }                                                                                               \
        while (data[i] != s[0]) i++;                                                                    \
        return i;                                                                                       \
    }                                                                                                   \
    static void SQ_NAME(op)(const void* job, long long begin, long long end) {                          \
        const sq_reduce_job j = *(const sq_reduce_job*)job;                                             \
        if (j.inner == 1) {                                                                             \
            for (long long i = begin; i < end; i++)                                                     \
                ((int64_t*)j.y)[i] = SQ_NAME(op##_line)((const type*)j.x + i * j.n, j.n);               \
            return;                                                                                     \
        }                                                                                               \
        while (begin < end) {                                                                           \
            const long long o = begin / j.inner, at = begin % j.inner;                                  \
            long long count = j.inner - at < end - begin ? j.inner - at : end - begin;                  \
            count = count < SQ_BLOCK ? count : SQ_BLOCK;                                                \
            SQ_NAME(op##_columns)((const type*)j.x + o * j.n * j.inner + at, j.n, j.inner, (int)count,  \
                                  (int64_t*)j.y + begin);                                               \
            begin += count;                                                                             \
        }                                                                                               \
    }

#include "maps.inc"

#undef SQ_REDUCE
#undef SQ_ARG
#undef SQ_BLOCK
#undef SQ_LANES
#undef SQ_NAME
#undef SQ_SUFFIX
