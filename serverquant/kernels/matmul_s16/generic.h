/* The loops, written once and included for every instruction set with SQ_SUFFIX set: the compiler vectorises them. */
#define SQ_NAME(op) SQ_CONCAT(sq_##op, SQ_SUFFIX)

SQ_INLINE void SQ_NAME(dots)(const int16_t* a, const int16_t* b, long long k, int count, int32_t* acc) {
    int32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0;
    const int16_t *b1 = b + (count > 1) * k, *b2 = b + 2 * (count > 2) * k, *b3 = b + 3 * (count > 3) * k;
    for (long long i = 0; i < k; i++) {
        s0 += (int32_t)a[i] * b[i];
        s1 += (int32_t)a[i] * b1[i];
        s2 += (int32_t)a[i] * b2[i];
        s3 += (int32_t)a[i] * b3[i];
    }
    acc[0] = s0, acc[1] = s1, acc[2] = s2, acc[3] = s3;
}

static void SQ_NAME(matmul_s16)(const void* job, long long begin, long long end) {
    const sq_matmul_s16_job j = *(const sq_matmul_s16_job*)job;
    for (long long row = begin; row < end; row++) {
        const long long matrix = row / j.m;
        const int16_t* a = j.a + (j.a_at[matrix] * j.m + row % j.m) * j.k;
        const int16_t* b = j.b + j.b_at[matrix] * j.n * j.k;
        const float multiplier = j.multipliers[j.by_b ? j.b_at[matrix] : 0];
        for (long long n = 0; n < j.n; n += 4) {
            const int count = j.n - n < 4 ? (int)(j.n - n) : 4;
            int32_t acc[4];
            SQ_NAME(dots)(a, b + n * j.k, j.k, count, acc);
            for (int c = 0; c < count; c++) {
                const float scaled = (float)acc[c] * multiplier;
                if (j.floats)
                    ((float*)j.y)[row * j.n + n + c] = scaled;
                else
                    ((uint8_t*)j.y)[row * j.n + n + c] =
                        (uint8_t)sq_shift_clamp(sq_round_or_min(scaled), j.zero_point, j.lo, j.hi);
            }
        }
    }
}

static void SQ_NAME(widen_rows)(const void* job, long long begin, long long end) {
    const sq_widen_job j = *(const sq_widen_job*)job;
    for (long long row = begin; row < end; row++) {
        const uint8_t* x = j.x + row * j.stride;
        int16_t* y = j.y + row * j.count;
#pragma GCC ivdep
        for (long long i = 0; i < j.count; i++) y[i] = (int16_t)(x[i] - j.zero_point);
    }
}

static void SQ_NAME(widen_columns)(const void* job, long long begin, long long end) {
    const sq_widen_job j = *(const sq_widen_job*)job;
    for (long long column = begin; column < end; column++)
        for (long long i = 0; i < j.count; i++)
            j.y[column * j.count + i] = (int16_t)(j.x[i * j.stride + column] - j.zero_point);
}

#undef SQ_NAME
#undef SQ_SUFFIX
