/* The loops, written once and included for every instruction set with SQ_SUFFIX set: the compiler vectorises them.
 * SQ_FAST_BLOCKS, if set, is a hand-made loop over the fast sum's blocks.
 * `ivdep`: an output may be an input itself, never shifted against it.
 */
#define SQ_NAME(op) SQ_CONCAT(sq_##op, SQ_SUFFIX)

static void SQ_NAME(add_u8_fast)(const void* job, long long begin, long long end) {
    const sq_add_u8_job j = *(const sq_add_u8_job*)job;
    const float y_zero_point = (float)j.y_zero_point, lo = (float)j.lo;
    const long long body = j.n / SQ_FAST_BLOCK * SQ_FAST_BLOCK;
    const long long stop = end < body ? end : body;
    long long i = begin;
#ifdef SQ_FAST_BLOCKS
    i = SQ_FAST_BLOCKS(&j, begin, stop);
#endif
#pragma GCC ivdep
    for (; i < stop; i++)
        j.y[i] = sq_add_fast_body(j.a[i], j.b[i], j.a_scale, j.b_scale, j.offset, j.inverse, y_zero_point, lo);
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

#undef SQ_BLOCK
#undef SQ_NAME
#undef SQ_SUFFIX
#undef SQ_FAST_BLOCKS
