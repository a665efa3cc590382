/* The loops, written once and included for every instruction set with SQ_SUFFIX set: the compiler vectorises them. */
#define SQ_NAME(op) SQ_CONCAT(sq_##op, SQ_SUFFIX)

static void SQ_NAME(row_range)(const float* x, long long n, float* lo, float* hi) {
    float least[16], most[16];
    long long i = 0;
    for (int k = 0; k < 16; k++) least[k] = most[k] = x[0];
    for (; i + 16 <= n; i += 16)
        for (int k = 0; k < 16; k++) {
            least[k] = x[i + k] < least[k] ? x[i + k] : least[k];
            most[k] = x[i + k] > most[k] ? x[i + k] : most[k];
        }
    for (; i < n; i++) {
        least[0] = x[i] < least[0] ? x[i] : least[0];
        most[0] = x[i] > most[0] ? x[i] : most[0];
    }
    for (int k = 1; k < 16; k++) {
        least[0] = least[k] < least[0] ? least[k] : least[0];
        most[0] = most[k] > most[0] ? most[k] : most[0];
    }
    *lo = least[0], *hi = most[0];
}

/* clamp(rne(f32(f32(x - bias) * inverse)), 0, most) */
static void SQ_NAME(row_values)(const float* x, uint8_t* y, long long n, float bias, float inverse, int32_t most) {
#pragma GCC ivdep
    for (long long i = 0; i < n; i++) {
        int32_t q = sq_round_or_min((x[i] - bias) * inverse);
        q = q < 0 ? 0 : q;
        y[i] = (uint8_t)(q > most ? most : q);
    }
}

static void SQ_NAME(row_packed)(const float* x, uint8_t* y, long long n, float bias, float inverse, int bits) {
    const int each = 8 / bits;
    for (long long i = 0; i < n / each; i++) {
        uint8_t values[4], byte = 0;
        SQ_NAME(row_values)(x + i * each, values, each, bias, inverse, (1 << bits) - 1);
        for (int k = 0; k < each; k++) byte |= (uint8_t)(values[k] << k * bits);
        y[i] = byte;
    }
}

static void SQ_NAME(row_apart)(const float* x, uint8_t* y, long long n, float lo, float hi, float* params) {
    const float range = hi - lo;
    params[0] = range < 1e-10f ? 1.0f : range / 255.0f;
    params[1] = lo;
    const float inverse = 1.0f / params[0];
    if (range < 1e-10f) {
        memset(y, 0, (size_t)n);
        return;
    }
    for (long long i = 0; i < n; i++) y[i] = sq_byte_half_away((x[i] - lo) * inverse);
}

static void SQ_NAME(quantize_row)(const sq_quantize_rows_job* j, long long row) {
    const long long n = j->n;
    const float* x = j->x + row * n;
    uint8_t* y = j->y + row * sq_row_bytes(j->format, n);
    const int stored = sq_row_bits(j->format), fake = j->format == SQ_ROWS_FAKE;
    float lo = 0, hi = 0;
    if (n) SQ_NAME(row_range)(x, n, &lo, &hi);
    if (j->format == SQ_ROWS_APART) {
        SQ_NAME(row_apart)(x, y, n, lo, hi, j->apart + 2 * row);
        return;
    }
    if (j->greedy) sq_narrow_range(x, n, j->bits, &lo, &hi);
    sq_row_params p = {(hi - lo) / 255.0f, lo};
    float inverse = 255.0f / (hi - lo + 1e-8f);
    if (j->format != SQ_ROWS_U8) {
        p = sq_half_params(lo, hi, j->bits, fake);
        inverse = 1.0f / p.scale;
    }
    if (isinf(inverse))
        memset(y, 0, (size_t)(n / (8 / stored)));
    else if (stored == 8)
        SQ_NAME(row_values)(x, y, n, p.bias, inverse, (1 << j->bits) - 1);
    else
        SQ_NAME(row_packed)(x, y, n, p.bias, inverse, stored);
    sq_write_params(y + n / (8 / stored), j->format, p);
}

static void SQ_NAME(quantize_rows)(const void* job, long long begin, long long end) {
    for (long long row = begin; row < end; row++) SQ_NAME(quantize_row)((const sq_quantize_rows_job*)job, row);
}

static void SQ_NAME(dequantize_rows)(const void* job, long long begin, long long end) {
    const sq_dequantize_rows_job j = *(const sq_dequantize_rows_job*)job;
    const int bits = sq_row_bits(j.format), each = 8 / bits, mask = (1 << bits) - 1;
    const long long stride = sq_row_bytes(j.format, j.n);
    for (long long row = begin; row < end; row++) {
        const uint8_t* x = j.x + row * stride;
        float* y = j.y + row * j.n;
        if (j.format == SQ_ROWS_APART) {
            const float scale = j.apart[2 * row], bias = j.apart[2 * row + 1];
#pragma GCC ivdep
            for (long long i = 0; i < j.n; i++) y[i] = (float)x[i] * scale + bias;
            continue;
        }
        const sq_row_params p = sq_read_params(x + j.n / each, j.format);
        if (bits == 8) {
#pragma GCC ivdep
            for (long long i = 0; i < j.n; i++) y[i] = fmaf((float)x[i], p.scale, p.bias);
        } else {
            for (long long i = 0; i < j.n; i++)
                y[i] = fmaf((float)(x[i / each] >> i % each * bits & mask), p.scale, p.bias);
        }
    }
}

#undef SQ_NAME
#undef SQ_SUFFIX
