/* The loops, written once and included for every instruction set with SQ_SUFFIX set: the compiler vectorises them. */
#define SQ_NAME(op) SQ_CONCAT(sq_##op, SQ_SUFFIX)
#define SQ_LANES SQ_SOFTMAX_LANES

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

/* SQ_LANES rows of d < SQ_LANES floats: a lane is a row. The sums are those of row_sum without the lanes that stay 0. */
SQ_INLINE void SQ_NAME(short_rows)(const float* x, float* y, const int d) {
    float e[SQ_LANES][SQ_LANES], m[SQ_LANES], s[SQ_LANES][SQ_LANES];
    for (int r = 0; r < SQ_LANES; r++)
        for (int i = 0; i < d; i++) e[i][r] = x[r * d + i];
    for (int r = 0; r < SQ_LANES; r++) m[r] = -INFINITY;
    for (int i = 0; i < d; i++)
        for (int r = 0; r < SQ_LANES; r++) m[r] = e[i][r] > m[r] ? e[i][r] : m[r];
    for (int i = 0; i < d; i++)
        for (int r = 0; r < SQ_LANES; r++) s[i][r] = e[i][r] = sq_exp(e[i][r] - m[r]);
    for (int half = SQ_LANES / 2; half > 0; half /= 2)
        for (int i = 0; i < half && i + half < d; i++)
            for (int r = 0; r < SQ_LANES; r++) s[i][r] += s[i + half][r];
    for (int i = 0; i < d; i++)
        for (int r = 0; r < SQ_LANES; r++) e[i][r] = e[i][r] / s[0][r];
    for (int r = 0; r < SQ_LANES; r++)
        for (int i = 0; i < d; i++) y[r * d + i] = e[i][r];
}

/* The shortest rows as constants: moving them is then a matter of a few shuffles. */
static void SQ_NAME(softmax_short)(const float* x, float* y, int d) {
    switch (d) {
    case 1: SQ_NAME(short_rows)(x, y, 1); break;
    case 2: SQ_NAME(short_rows)(x, y, 2); break;
    case 3: SQ_NAME(short_rows)(x, y, 3); break;
    case 4: SQ_NAME(short_rows)(x, y, 4); break;
    default: SQ_NAME(short_rows)(x, y, d);
    }
}

static void SQ_NAME(softmax_f32)(const void* job, long long begin, long long end) {
    const sq_softmax_job j = *(const sq_softmax_job*)job;
    for (; j.d < SQ_LANES && begin + SQ_LANES <= end; begin += SQ_LANES)
        SQ_NAME(softmax_short)(j.x + begin * j.d, j.y + begin * j.d, (int)j.d);
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
