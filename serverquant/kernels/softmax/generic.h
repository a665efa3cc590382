/* The loops, written once and included for every instruction set with SQ_SUFFIX set: the compiler vectorises them. */
#define SQ_NAME(op) SQ_CONCAT(sq_##op, SQ_SUFFIX)
#define SQ_LANES 16

static void SQ_NAME(exp_f32)(const void* job, long long begin, long long end) {
    const sq_softmax_job j = *(const sq_softmax_job*)job;
#pragma GCC ivdep
    for (long long i = begin; i < end; i++) j.y[i] = sq_exp(j.x[i]);
}

/* Order changes nothing in a maximum (the sign of a zero apart, which the subtraction forgets). */
static float SQ_NAME(row_max)(const float* x, long long d) {
    float m[SQ_LANES];
    long long i = 0;
    for (int k = 0; k < SQ_LANES; k++) m[k] = -INFINITY;
    for (; i + SQ_LANES <= d; i += SQ_LANES)
        for (int k = 0; k < SQ_LANES; k++) m[k] = x[i + k] > m[k] ? x[i + k] : m[k];
    for (; i < d; i++) m[0] = x[i] > m[0] ? x[i] : m[0];
    for (int k = 1; k < SQ_LANES; k++) m[0] = m[k] > m[0] ? m[k] : m[0];
    return m[0];
}

static float SQ_NAME(row_sum)(const float* e, long long d) {
    float s[SQ_LANES] = {0};
    long long i = 0;
    for (; i + SQ_LANES <= d; i += SQ_LANES)
        for (int k = 0; k < SQ_LANES; k++) s[k] += e[i + k];
    for (int k = 0; i + k < d; k++) s[k] += e[i + k];
    for (int half = SQ_LANES / 2; half > 0; half /= 2)
        for (int k = 0; k < half; k++) s[k] += s[k + half];
    return s[0];
}

static void SQ_NAME(softmax_f32)(const void* job, long long begin, long long end) {
    const sq_softmax_job j = *(const sq_softmax_job*)job;
    for (long long row = begin; row < end; row++) {
        const float* x = j.x + row * j.d;
        float* y = j.y + row * j.d;
        const float m = SQ_NAME(row_max)(x, j.d);
#pragma GCC ivdep
        for (long long i = 0; i < j.d; i++) y[i] = sq_exp(x[i] - m);
        const float sum = SQ_NAME(row_sum)(y, j.d);
#pragma GCC ivdep
        for (long long i = 0; i < j.d; i++) y[i] = y[i] / sum;
    }
}

#undef SQ_LANES
#undef SQ_NAME
#undef SQ_SUFFIX
