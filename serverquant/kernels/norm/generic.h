/* The loops, written once and included for every instruction set with SQ_SUFFIX set: the compiler vectorises them. */
#define SQ_NAME(op) SQ_CONCAT(sq_##op, SQ_SUFFIX)
#define SQ_LANES 16

static void SQ_NAME(affine_nchw_f32)(const void* job, long long begin, long long end) {
    const sq_affine_job j = *(const sq_affine_job*)job;
    const float lo = j.bounds.lo, hi = j.bounds.hi;
    for (long long plane = begin; plane < end; plane++) {
        const float* x = j.x + plane * j.inner;
        float* y = j.y + plane * j.inner;
        const float alpha = j.alpha[plane % j.channels], beta = j.beta[plane % j.channels];
#pragma GCC ivdep
        for (long long i = 0; i < j.inner; i++) y[i] = sq_clip(sq_affine(x[i], alpha, beta), lo, hi);
    }
}

static void SQ_NAME(affine_nhwc_f32)(const void* job, long long begin, long long end) {
    const sq_affine_job j = *(const sq_affine_job*)job;
    const float lo = j.bounds.lo, hi = j.bounds.hi;
    for (long long pixel = begin; pixel < end; pixel++) {
        const float* x = j.x + pixel * j.channels;
        float* y = j.y + pixel * j.channels;
#pragma GCC ivdep
        for (long long c = 0; c < j.channels; c++) y[c] = sq_clip(sq_affine(x[c], j.alpha[c], j.beta[c]), lo, hi);
    }
}

/* ---- sums ---- */

static float SQ_NAME(join)(float* s) {
    for (int half = SQ_LANES / 2; half > 0; half /= 2)
        for (int k = 0; k < half; k++) s[k] += s[k + half];
    return s[0];
}

/* Sum of f32(x - centre)^2, or of x if `plain`, of a row. */
static double SQ_NAME(row_sum)(const float* x, long long n, float centre, int plain) {
    double total = 0.0;
    for (long long at = 0; at < n; at += SQ_NORM_RUN) {
        const long long count = n - at < SQ_NORM_RUN ? n - at : SQ_NORM_RUN;
        const float* run = x + at;
        float s[SQ_LANES] = {0};
        long long i = 0;
        if (plain) {
            for (; i + SQ_LANES <= count; i += SQ_LANES)
                for (int k = 0; k < SQ_LANES; k++) s[k] += run[i + k];
            for (int k = 0; i + k < count; k++) s[k] += run[i + k];
        } else {
            for (; i + SQ_LANES <= count; i += SQ_LANES)
                for (int k = 0; k < SQ_LANES; k++) {
                    const float d = run[i + k] - centre;
                    s[k] = fmaf(d, d, s[k]);
                }
            for (int k = 0; i + k < count; k++) {
                const float d = run[i + k] - centre;
                s[k] = fmaf(d, d, s[k]);
            }
        }
        total += SQ_NAME(join)(s);
    }
    return total;
}

static void SQ_NAME(row_sums_f32)(const void* job, long long begin, long long end) {
    const sq_sums_job j = *(const sq_sums_job*)job;
    for (long long row = begin; row < end; row++)
        j.sums[row] =
            SQ_NAME(row_sum)(j.x + row * j.inner, j.inner, j.centre ? j.centre[row % j.centres] : 0.0f, !j.centre);
}

static void SQ_NAME(column_sums_f32)(const void* job, long long begin, long long end) {
    const sq_sums_job j = *(const sq_sums_job*)job;
    const long long blocks = (j.channels + SQ_NORM_BLOCK - 1) / SQ_NORM_BLOCK;
    for (long long item = begin; item < end; item++) {
        const long long first = item % blocks * SQ_NORM_BLOCK, left = j.channels - first;
        const long long width = left < SQ_NORM_BLOCK ? left : SQ_NORM_BLOCK, at = item / blocks * j.channels + first;
        const float* x = j.x + item / blocks * j.inner * j.channels + first;
        const float* centre = j.centre ? j.centre + at : NULL;
        double* sums = j.sums + at;
        for (long long c = 0; c < width; c++) sums[c] = 0.0;
        for (long long p0 = 0; p0 < j.inner; p0 += SQ_NORM_RUN) {
            const long long p1 = j.inner - p0 < SQ_NORM_RUN ? j.inner : p0 + SQ_NORM_RUN;
            float s[SQ_NORM_BLOCK] = {0};
            for (long long p = p0; p < p1; p++) {
                const float* line = x + p * j.channels;
                if (centre)
                    for (long long c = 0; c < width; c++) {
                        const float d = line[c] - centre[c];
                        s[c] = fmaf(d, d, s[c]);
                    }
                else
                    for (long long c = 0; c < width; c++) s[c] += line[c];
            }
            for (long long c = 0; c < width; c++) sums[c] += s[c];
        }
    }
}

/* ---- whole rows ---- */

static void SQ_NAME(row_norm_f32)(const void* job, long long begin, long long end) {
    const sq_row_norm_job j = *(const sq_row_norm_job*)job;
    const double n = (double)j.inner;
    for (long long row = begin; row < end; row++) {
        const float* x = j.x + row * j.inner;
        float* y = j.y + row * j.inner;
        const float mean = j.mean ? (float)(SQ_NAME(row_sum)(x, j.inner, 0.0f, 1) / n) : 0.0f;
        const float square = (float)(SQ_NAME(row_sum)(x, j.inner, mean, 0) / n);
        const float sigma = sqrtf(square + j.epsilon), scale = 1.0f / sigma;
        const float shift = -scale * mean;
        if (j.mean) {
            j.mean[row] = mean;
            j.sigma[row] = sigma;
#pragma GCC ivdep
            for (long long i = 0; i < j.inner; i++) y[i] = sq_affine(x[i], scale, shift);
        } else {
            j.sigma[row] = scale;
#pragma GCC ivdep
            for (long long i = 0; i < j.inner; i++) y[i] = x[i] * scale;
        }
        if (j.gamma) {
#pragma GCC ivdep
            for (long long i = 0; i < j.inner; i++) y[i] = sq_affine(y[i], j.gamma[i], j.beta[i]);
        }
    }
}

/* ---- local response ---- */

static void SQ_NAME(respond)(const sq_lrn_job* j, const float* x, const float* sums, long long count, float* y) {
    /* A loop of its own for the roots that nets ask for, so that it is vector code. */
    const float beta = j->beta;
    if (beta == 0.75f) {
#pragma GCC ivdep
        for (long long i = 0; i < count; i++) y[i] = x[i] * sq_negative_power(sums[i], 0.75f);
    } else if (beta == 0.5f) {
#pragma GCC ivdep
        for (long long i = 0; i < count; i++) y[i] = x[i] * sq_negative_power(sums[i], 0.5f);
    } else {
#pragma GCC ivdep
        for (long long i = 0; i < count; i++) y[i] = x[i] * sq_negative_power(sums[i], beta);
    }
}

static void SQ_NAME(lrn_nchw_f32)(const void* job, long long begin, long long end) {
    const sq_lrn_job j = *(const sq_lrn_job*)job;
    const long long blocks = (j.inner + SQ_NORM_BLOCK - 1) / SQ_NORM_BLOCK, half = (j.size - 1) / 2;
    const float factor = j.alpha / (float)j.size;
    for (long long item = begin; item < end; item++) {
        const long long first = item % blocks * SQ_NORM_BLOCK, left = j.inner - first;
        const long long width = left < SQ_NORM_BLOCK ? left : SQ_NORM_BLOCK;
        const long long image = item / blocks * j.channels * j.inner + first;
        for (long long c = 0; c < j.channels; c++) {
            const long long from = c < half ? 0 : c - half, behind = c - half + j.size;
            const long long to = behind < j.channels ? behind : j.channels, at = image + c * j.inner;
            float sums[SQ_NORM_BLOCK];
            for (int i = 0; i < SQ_NORM_BLOCK; i++) sums[i] = j.bias;
            for (long long k = from; k < to; k++) {
                const float* x = j.x + image + k * j.inner;
                for (long long i = 0; i < width; i++) sums[i] = sq_add_square(sums[i], x[i], factor);
            }
            if (j.scale) memcpy(j.scale + at, sums, (size_t)width * sizeof(float));
            SQ_NAME(respond)(&j, j.x + at, sums, width, j.y + at);
        }
    }
}

static void SQ_NAME(lrn_nhwc_f32)(const void* job, long long begin, long long end) {
    const sq_lrn_job j = *(const sq_lrn_job*)job;
    const long long half = (j.size - 1) / 2;
    const float factor = j.alpha / (float)j.size;
    for (long long pixel = begin; pixel < end; pixel++) {
        const float* x = j.x + pixel * j.channels;
        for (long long c0 = 0; c0 < j.channels; c0 += SQ_NORM_BLOCK) {
            const long long width = j.channels - c0 < SQ_NORM_BLOCK ? j.channels - c0 : SQ_NORM_BLOCK;
            float sums[SQ_NORM_BLOCK];
            for (int i = 0; i < SQ_NORM_BLOCK; i++) sums[i] = j.bias;
            for (long long k = c0 - half; k < c0 - half + j.size; k++) {
                /* Channel k + i of the window that belongs to channel c0 + i. */
                const long long i0 = k < 0 ? -k : 0, i1 = k + width > j.channels ? j.channels - k : width;
                for (long long i = i0; i < i1; i++) sums[i] = sq_add_square(sums[i], x[k + i], factor);
            }
            if (j.scale) memcpy(j.scale + pixel * j.channels + c0, sums, (size_t)width * sizeof(float));
            SQ_NAME(respond)(&j, x + c0, sums, width, j.y + pixel * j.channels + c0);
        }
    }
}

/* ---- groups of bytes ---- */

/* Squares of so many bytes fit 32 bits. */
#define SQ_BYTE_RUN 65536

static void SQ_NAME(channel_sums_u8)(const void* job, long long begin, long long end) {
    const sq_channel_sums_job j = *(const sq_channel_sums_job*)job;
    const long long blocks = j.nhwc ? (j.channels + SQ_NORM_BLOCK - 1) / SQ_NORM_BLOCK : j.channels;
    for (long long item = begin; item < end; item++) {
        const long long image = item / blocks, first = item % blocks * (j.nhwc ? SQ_NORM_BLOCK : 1);
        const long long left = j.channels - first, width = !j.nhwc ? 1 : left < SQ_NORM_BLOCK ? left : SQ_NORM_BLOCK;
        const uint8_t* x = j.x + image * j.inner * j.channels + first * (j.nhwc ? 1 : j.inner);
        uint64_t* sums = j.sums + image * j.channels + first;
        uint64_t* squares = j.squares + image * j.channels + first;
        for (long long c = 0; c < width; c++) sums[c] = squares[c] = 0;
        for (long long p0 = 0; p0 < j.inner; p0 += SQ_BYTE_RUN) {
            const long long count = j.inner - p0 < SQ_BYTE_RUN ? j.inner - p0 : SQ_BYTE_RUN;
            uint32_t s[SQ_NORM_BLOCK] = {0}, q[SQ_NORM_BLOCK] = {0};
            if (j.nhwc)
                for (long long p = p0; p < p0 + count; p++)
                    for (long long c = 0; c < width; c++) {
                        const uint32_t v = x[p * j.channels + c];
                        s[c] += v;
                        q[c] += v * v;
                    }
            else
                for (long long p = p0; p < p0 + count; p++) {
                    s[0] += x[p];
                    q[0] += (uint32_t)x[p] * x[p];
                }
            for (long long c = 0; c < width; c++) {
                sums[c] += s[c];
                squares[c] += q[c];
            }
        }
    }
}

static inline int32_t SQ_NAME(acc)(uint8_t x, int32_t scale, int32_t bias) {
    return (int32_t)((uint32_t)x * (uint32_t)scale + (uint32_t)bias);
}

static inline int32_t SQ_NAME(fixed_point)(const sq_group_job* j, int32_t acc) {
    /* The bounds first: what is added to them cannot overflow. */
    int64_t v = (int64_t)((uint64_t)(int64_t)acc * (uint64_t)j->multiplier + (uint64_t)j->half) >> j->shift;
    v = v > 255 - j->zero_point ? 255 - j->zero_point : v;
    return (int32_t)(v < -j->zero_point ? -j->zero_point : v) + j->zero_point;
}

static void SQ_NAME(group_u8)(const void* job, long long begin, long long end) {
    const sq_group_job j = *(const sq_group_job*)job;
    const long long count = j.nhwc ? j.channels : j.inner, step = j.nhwc;
    const long long whole = count - count % SQ_GROUP_BLOCK;
    for (long long item = begin; item < end; item++) {
        const uint8_t* x = j.x + item * count;
        uint8_t* y = j.y + item * count;
        const long long at = j.nhwc ? item / j.inner * j.channels : item;
        const int32_t* scale = j.scale + at;
        const int32_t* bias = j.bias + at;
        if (step)
            for (long long i = 0; i < whole; i++)
                y[i] = (uint8_t)SQ_NAME(fixed_point)(&j, SQ_NAME(acc)(x[i], scale[i], bias[i]));
        else
            for (long long i = 0; i < whole; i++)
                y[i] = (uint8_t)SQ_NAME(fixed_point)(&j, SQ_NAME(acc)(x[i], *scale, *bias));
        for (long long i = whole; i < count; i++) {
            const float v = rintf((float)SQ_NAME(acc)(x[i], scale[i * step], bias[i * step]) * j.factor);
            /* Not a number and what is below int64 become the lower end, as what is too large for it does. */
            const int64_t q = fabsf(v) < 0x1p63f ? (int64_t)v : INT64_MIN / 2;
            const int64_t z = q + j.zero_point;
            y[i] = (uint8_t)(z < 0 ? 0 : z > j.hi ? j.hi : z);
        }
    }
}

#undef SQ_BYTE_RUN
#undef SQ_LANES
#undef SQ_NAME
#undef SQ_SUFFIX
