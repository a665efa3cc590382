/* The loops, written once and included for every instruction set with SQ_SUFFIX set: the compiler vectorises them.
 * SQ_FAST_BLOCKS, if set, is a hand-made loop over the fast sum's blocks.
 * `ivdep`: an output may be an input itself, never shifted against it.
 */
#define SQ_NAME(op) SQ_CONCAT(sq_##op, SQ_SUFFIX)

static void SQ_NAME(add_u8_fast)(const void* job, long long begin, long long end) {
    const sq_add_u8_job j = *(const sq_add_u8_job*)job;
    const float offset = sq_fast_offset(j.a_scale, (float)j.a_zero_point, j.b_scale, (float)j.b_zero_point);
    const float inverse = 1.0f / j.y_scale, y_zero_point = (float)j.y_zero_point, lo = (float)j.lo;
    const long long body = j.n / SQ_FAST_BLOCK * SQ_FAST_BLOCK;
    const long long stop = end < body ? end : body;
    long long i = begin;
#ifdef SQ_FAST_BLOCKS
    i = SQ_FAST_BLOCKS(&j, offset, begin, stop);
#endif
#pragma GCC ivdep
    for (; i < stop; i++)
        j.y[i] = sq_add_fast_body(j.a[i], j.b[i], j.a_scale, j.b_scale, offset, inverse, y_zero_point, lo);
#pragma GCC ivdep
    for (; i < end; i++)
        j.y[i] = sq_add_fast_tail((int32_t)j.a[i] - j.a_zero_point, (int32_t)j.b[i] - j.b_zero_point, j.a_scale,
                                  j.b_scale, j.y_scale, y_zero_point, lo);
}

static void SQ_NAME(add_u8_mobile)(const void* job, long long begin, long long end) {
    const sq_add_mobile_job j = *(const sq_add_mobile_job*)job;
#pragma GCC ivdep
    for (long long i = begin; i < end; i++)
        j.y[i] = sq_add_mobile(j.a[i], j.b[i], j.a_multiplier, j.b_multiplier, j.bias, j.shift, j.y_zero_point, j.lo);
}

/* Elements handled at a time by the kernels that go over several inputs: their sums stay in the first cache. */
#define SQ_BLOCK 1024

/* The `count` (<= SQ_BLOCK) elements of an input that belong to output elements from `begin` on. */
static const void* SQ_NAME(slow_elements)(const sq_slow_input* in, long long begin, int count, void* buffer) {
    if (in->mid == 0) {
        const long long size = in->is_float ? sizeof(float) : 1;
        return (const char*)in->data + begin * size;
    }
    long long at = begin / in->post % in->mid, within = begin % in->post;
    for (int k = 0; k < count; k++) {
        if (in->is_float) ((float*)buffer)[k] = ((const float*)in->data)[at];
        else ((uint8_t*)buffer)[k] = ((const uint8_t*)in->data)[at];
        if (++within == in->post) {
            within = 0;
            at = at + 1 == in->mid ? 0 : at + 1;
        }
    }
    return buffer;
}

static void SQ_NAME(slow_accumulate)(const sq_sum_slow_job* j, const sq_slow_input* in, long long begin, int count,
                                     uint32_t* restrict acc) {
    float buffer[SQ_BLOCK];
    const void* data = SQ_NAME(slow_elements)(in, begin, count, buffer);
    if (in->is_float) {
        const float* restrict x = data;
        const float inverse = 1.0f / j->mid_scale, zero_point = (float)j->mid_zero_point;
        const float lo = (float)j->float_lo, hi = (float)j->float_hi;
        const int32_t nan = j->float_lo < 0 ? INT32_MIN : 0;
        for (int k = 0; k < count; k++) acc[k] += (uint32_t)sq_slow_from_float(x[k], inverse, zero_point, lo, hi, nan);
    } else {
        const uint8_t* restrict x = data;
        const float multiplier = in->scale / j->mid_scale;
        const int32_t zero_point = in->zero_point, mid = j->mid_zero_point, hi = (int32_t)((1LL << j->bits) - 1);
        for (int k = 0; k < count; k++) acc[k] += (uint32_t)sq_slow_from_u8(x[k], zero_point, multiplier, mid, hi);
    }
}

static void SQ_NAME(sum_u8_slow)(const void* job, long long begin, long long end) {
    const sq_sum_slow_job j = *(const sq_sum_slow_job*)job;
    const float multiplier = j.mid_scale / j.y_scale;
    uint32_t acc[SQ_BLOCK]; /* wraps, as Caffe2's sums do */
    for (long long i = begin; i < end; i += SQ_BLOCK) {
        const int count = end - i < SQ_BLOCK ? (int)(end - i) : SQ_BLOCK;
        for (int k = 0; k < count; k++) acc[k] = 0u - (uint32_t)j.count * (uint32_t)j.mid_zero_point;
        for (int t = 0; t < j.count; t++)
            SQ_NAME(slow_accumulate)(&j, &j.inputs[t], i, count, acc);
        uint8_t* y = j.y + i;
        for (int k = 0; k < count; k++) {
            const int32_t q = sq_round_or_min((float)(int32_t)acc[k] * multiplier);
            y[k] = (uint8_t)sq_shift_clamp(q, j.y_zero_point, j.lo, 255);
        }
    }
}

#define SQ_BINARY(op, type, sign)                                                                       \
    static void SQ_NAME(op)(const void* job, long long begin, long long end) {                          \
        const sq_binary_job j = *(const sq_binary_job*)job;                                             \
        const type *a = j.a, *b = j.b;                                                                  \
        type* y = j.y;                                                                                  \
        _Pragma("GCC ivdep") for (long long i = begin; i < end; i++) y[i] = (type)(a[i] sign b[i]);     \
    }

#define SQ_STRIDED(op, type, sign)                                                                      \
    static void SQ_NAME(op##_run)(const type* a, int64_t a_stride, const type* b, int64_t b_stride, type* y, \
                                  int64_t n) {                                                          \
        if (a_stride == 1 && b_stride == 1) {                                                           \
            _Pragma("GCC ivdep") for (int64_t i = 0; i < n; i++) y[i] = (type)(a[i] sign b[i]);         \
        } else if (a_stride == 1 && b_stride == 0) {                                                    \
            const type scalar = b[0];                                                                   \
            _Pragma("GCC ivdep") for (int64_t i = 0; i < n; i++) y[i] = (type)(a[i] sign scalar);       \
        } else if (a_stride == 0 && b_stride == 1) {                                                    \
            const type scalar = a[0];                                                                   \
            _Pragma("GCC ivdep") for (int64_t i = 0; i < n; i++) y[i] = (type)(scalar sign b[i]);       \
        } else {                                                                                        \
            for (int64_t i = 0; i < n; i++) y[i] = (type)(a[i * a_stride] sign b[i * b_stride]);        \
        }                                                                                               \
    }                                                                                                   \
    static void SQ_NAME(op)(const void* job, long long begin, long long end) {                          \
        const sq_strided_job* j = job;                                                                  \
        const int last = j->ndim - 1;                                                                   \
        while (begin < end) {                                                                           \
            int64_t a = 0, b = 0, rest = begin / j->dims[last], within = begin % j->dims[last];         \
            for (int d = last - 1; d >= 0; d--) {                                                       \
                a += rest % j->dims[d] * j->a_strides[d];                                               \
                b += rest % j->dims[d] * j->b_strides[d];                                               \
                rest /= j->dims[d];                                                                     \
            }                                                                                           \
            int64_t n = j->dims[last] - within;                                                         \
            n = n < end - begin ? n : end - begin;                                                      \
            SQ_NAME(op##_run)((const type*)j->a + a + within * j->a_strides[last], j->a_strides[last],  \
                              (const type*)j->b + b + within * j->b_strides[last], j->b_strides[last],  \
                              (type*)j->y + begin, n);                                                  \
            begin += n;                                                                                 \
        }                                                                                               \
    }

#define SQ_SUM(op, type)                                                                                \
    static void SQ_NAME(op)(const void* job, long long begin, long long end) {                          \
        const sq_sum_job j = *(const sq_sum_job*)job;                                                   \
        type acc[SQ_BLOCK];                                                                             \
        for (long long i = begin; i < end; i += SQ_BLOCK) {                                             \
            const int count = end - i < SQ_BLOCK ? (int)(end - i) : SQ_BLOCK;                           \
            memcpy(acc, (const type*)j.inputs[0] + i, sizeof(type) * count);                            \
            for (int t = 1; t < j.count; t++) {                                                         \
                const type* x = (const type*)j.inputs[t] + i;                                           \
                for (int k = 0; k < count; k++) acc[k] = (type)(acc[k] + x[k]);                         \
            }                                                                                           \
            memcpy((type*)j.y + i, acc, sizeof(type) * count);                                          \
        }                                                                                               \
    }

/* Unsigned: integers wrap, as two's complement does. */
#define SQ_TYPE(name, type)                   \
    SQ_BINARY(add_##name, type, +)            \
    SQ_BINARY(mul_##name, type, *)            \
    SQ_STRIDED(add_strided_##name, type, +)   \
    SQ_STRIDED(mul_strided_##name, type, *)   \
    SQ_SUM(sum_##name, type)

SQ_TYPE(f32, float)
SQ_TYPE(f64, double)
SQ_TYPE(i32, uint32_t)
SQ_TYPE(i64, uint64_t)

#undef SQ_TYPE
#undef SQ_SUM
#undef SQ_STRIDED
#undef SQ_BINARY
#undef SQ_BLOCK
#undef SQ_NAME
#undef SQ_SUFFIX
#undef SQ_FAST_BLOCKS
