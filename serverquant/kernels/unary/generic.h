/* The loops, written once and included for every instruction set with SQ_SUFFIX set: the compiler vectorises them. */
#define SQ_NAME(op) SQ_CONCAT(sq_##op, SQ_SUFFIX)

static void SQ_NAME(relu_f32)(const void* job, long long begin, long long end) {
    const sq_unary_job j = *(const sq_unary_job*)job;
#pragma GCC ivdep
    for (long long i = begin; i < end; i++) j.y[i] = sq_relu(j.x[i]);
}

static void SQ_NAME(clip_f32)(const void* job, long long begin, long long end) {
    const sq_unary_job j = *(const sq_unary_job*)job;
#pragma GCC ivdep
    for (long long i = begin; i < end; i++) j.y[i] = sq_clip(j.x[i], j.lo, j.hi);
}

static void SQ_NAME(relu_u8)(const void* job, long long begin, long long end) {
    const sq_relu_u8_job j = *(const sq_relu_u8_job*)job;
    const uint8_t zero_point = (uint8_t)j.zero_point;
#pragma GCC ivdep
    for (long long i = begin; i < end; i++) j.y[i] = j.x[i] > zero_point ? j.x[i] : zero_point;
}

#undef SQ_NAME
#undef SQ_SUFFIX
