/* The loops, written once and included for every instruction set with SQ_SUFFIX set: the compiler vectorises them. */
#define SQ_NAME(op) SQ_CONCAT(sq_##op, SQ_SUFFIX)

#define SQ_QUANTIZE(op, type, define)                                                           \
    static void SQ_NAME(op)(const void* job, long long begin, long long end) {                  \
        const sq_quantize_job j = *(const sq_quantize_job*)job;                                 \
        const float* restrict x = j.x;                                                          \
        type* restrict y = j.y;                                                                 \
        const float inverse = 1.0f / j.scale, zero_point = (float)j.zero_point;                 \
        const float lo = (float)j.lo, hi = (float)j.hi;                                         \
        for (long long i = begin; i < end; i++) y[i] = (type)define(x[i], inverse, zero_point, lo, hi); \
    }

SQ_QUANTIZE(quantize_u8, uint8_t, sq_quantize_8bit)
SQ_QUANTIZE(quantize_s8, int8_t, sq_quantize_8bit)
SQ_QUANTIZE(quantize_wide_u8, uint8_t, sq_quantize_wide)
SQ_QUANTIZE(quantize_wide_s8, int8_t, sq_quantize_wide)
SQ_QUANTIZE(quantize_wide_u16, uint16_t, sq_quantize_wide)
SQ_QUANTIZE(quantize_wide_s16, int16_t, sq_quantize_wide)
SQ_QUANTIZE(quantize_wide_s32, int32_t, sq_quantize_s32)
#undef SQ_QUANTIZE

static void SQ_NAME(quantize_mobile_u8)(const void* job, long long begin, long long end) {
    const sq_quantize_job j = *(const sq_quantize_job*)job;
    const float* restrict x = j.x;
    uint8_t* restrict y = j.y;
    for (long long i = begin; i < end; i++) y[i] = (uint8_t)sq_quantize_mobile(x[i], j.scale, j.zero_point);
}

#define SQ_DEQUANTIZE(op, type)                                                                 \
    static void SQ_NAME(op)(const void* job, long long begin, long long end) {                  \
        const sq_dequantize_job j = *(const sq_dequantize_job*)job;                             \
        const type* restrict x = j.x;                                                           \
        float* restrict y = j.y;                                                                \
        for (long long i = begin; i < end; i++) y[i] = sq_dequantize(x[i], j.scale, j.zero_point); \
    }

SQ_DEQUANTIZE(dequantize_u8, uint8_t)
SQ_DEQUANTIZE(dequantize_u16, uint16_t)
SQ_DEQUANTIZE(dequantize_s32, int32_t)
#undef SQ_DEQUANTIZE

static void SQ_NAME(requantize_u8)(const void* job, long long begin, long long end) {
    const sq_requantize_job j = *(const sq_requantize_job*)job;
    const int32_t* restrict x = j.x;
    uint8_t* restrict y = j.y;
    for (long long i = begin; i < end; i++)
        y[i] = (uint8_t)sq_requantize(x[i], j.multiplier, j.zero_point, j.lo, j.hi);
}

static void SQ_NAME(requantize_q31_u8)(const void* job, long long begin, long long end) {
    const sq_requantize_job j = *(const sq_requantize_job*)job;
#pragma GCC ivdep
    for (long long i = begin; i < end; i++) {
        const int32_t q = sq_wrap_add(sq_q31(j.x[i], j.q31_multiplier, j.q31_shift), j.zero_point);
        j.y[i] = (uint8_t)sq_clamp(q, j.lo, j.hi);
    }
}

/* Several running pairs, where there is a hand-made loop (SQ_MIN_MAX_STEPS): order changes nothing here. */
static void SQ_NAME(min_max)(const void* job, long long begin, long long end) {
    const sq_min_max_job* j = job;
    for (long long t = begin; t < end; t++) {
        const float* x = j->x;
        long long i = j->n * t / j->parts;
        const long long stop = j->n * (t + 1) / j->parts;
        float lo[8], hi[8];
        for (int k = 0; k < 8; k++) lo[k] = hi[k] = x[0];
#ifdef SQ_MIN_MAX_STEPS
        i += SQ_MIN_MAX_STEPS(x + i, stop - i, lo, hi);
#endif
        for (; i < stop; i++) {
            lo[0] = x[i] < lo[0] ? x[i] : lo[0];
            hi[0] = x[i] > hi[0] ? x[i] : hi[0];
        }
        for (int k = 1; k < 8; k++) {
            lo[0] = lo[k] < lo[0] ? lo[k] : lo[0];
            hi[0] = hi[k] > hi[0] ? hi[k] : hi[0];
        }
        j->lo[t] = lo[0];
        j->hi[t] = hi[0];
    }
}

#undef SQ_NAME
#undef SQ_SUFFIX
#undef SQ_MIN_MAX_STEPS
