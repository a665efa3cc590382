/* The loops, written once and included for every instruction set with SQ_SUFFIX set: the compiler vectorises them. */
#define SQ_NAME(op) SQ_CONCAT(sq_##op, SQ_SUFFIX)

#define SQ_MAP(op, from, to, value)                                                       \
    static void SQ_NAME(op)(const void* job, long long begin, long long end) {            \
        const sq_unary_job j = *(const sq_unary_job*)job;                                 \
        const float a = j.a, b = j.b;                                                     \
        const int64_t n = j.n;                                                            \
        const int32_t flag = j.flag;                                                      \
        const from* px = j.x;                                                             \
        to* py = j.y;                                                                     \
        (void)a, (void)b, (void)n, (void)flag;                                            \
        _Pragma("GCC ivdep") for (long long i = begin; i < end; i++) {                    \
            const from x = px[i];                                                         \
            py[i] = (to)(value);                                                          \
        }                                                                                 \
    }

#define SQ_CAST(from, to) SQ_MAP(cast_##from##_##to, sq_t_##from, sq_t_##to, SQ_FROM_##from(to, x))

/* Blocks that hold a far angle go one by one: y may be x, so that there is no second look. */
#define SQ_ANGLES 256
#define SQ_TURN(op, near, kind)                                                           \
    static void SQ_NAME(op)(const void* job, long long begin, long long end) {            \
        const sq_unary_job j = *(const sq_unary_job*)job;                                 \
        for (long long at = begin; at < end; at += SQ_ANGLES) {                           \
            const int count = end - at < SQ_ANGLES ? (int)(end - at) : SQ_ANGLES;         \
            const float* px = (const float*)j.x + at;                                     \
            float* py = (float*)j.y + at;                                                 \
            int far = 0;                                                                  \
            for (int i = 0; i < count; i++) far |= fabsf(px[i]) >= SQ_FAR;                \
            if (far) {                                                                    \
                for (int i = 0; i < count; i++)                                           \
                    py[i] = fabsf(px[i]) >= SQ_FAR ? sq_turn_far(px[i], kind) : near(px[i]); \
            } else {                                                                      \
                _Pragma("GCC ivdep") for (int i = 0; i < count; i++) py[i] = near(px[i]); \
            }                                                                             \
        }                                                                                 \
    }

#include "maps.inc"

#undef SQ_TURN
#undef SQ_ANGLES
#undef SQ_CAST
#undef SQ_MAP

static void SQ_NAME(relu_u8)(const void* job, long long begin, long long end) {
    const sq_relu_u8_job j = *(const sq_relu_u8_job*)job;
    const uint8_t zero_point = (uint8_t)j.zero_point;
#pragma GCC ivdep
    for (long long i = begin; i < end; i++) j.y[i] = j.x[i] > zero_point ? j.x[i] : zero_point;
}

#undef SQ_NAME
#undef SQ_SUFFIX
