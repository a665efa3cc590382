/* Pool bodies, written once. The including header defines, for its instruction set, vectors of
 *   floats   SQ_V, SQ_LANES, SQ_SPREAD(x), SQ_LOAD(p), SQ_STORE(p, v, count), SQ_MAX(x, acc), SQ_ADD, SQ_MUL, SQ_FMA,
 *            SQ_CLAMP(v, low): to [low, 255], NaN to low
 *   int32    SQ_I, as many lanes: SQ_I_ZERO(), SQ_I_LOAD(p), SQ_I_SPREAD(x), SQ_I_STORE(p, v, count), SQ_I_ADD,
 *            SQ_I_SUB, SQ_I_BYTES(p): bytes widened, SQ_TO_FLOAT(i), SQ_STORE_ROUNDED(p, v, count): floats as bytes
 *   bytes    SQ_B, SQ_B_LANES, SQ_B_SPREAD(x), SQ_B_LOAD(p), SQ_B_STORE(p, v, count), SQ_B_MAX
 * where a store with count >= the lanes stores a whole vector; and SQ_NAME(suffix).
 * No include guard: it is included once an instruction set. */

#define SQ_BODY SQ_INLINE
#define SQ_EACH _Pragma("GCC unroll 4") for (int j = 0; j < nv; j++)

SQ_BODY void SQ_NAME(_max_block)(const float* const* x, int64_t taps, int64_t i, int64_t left, float* out,
                                 const int nv) {
    SQ_V acc[4];
    SQ_EACH acc[j] = SQ_SPREAD(-FLT_MAX);
    for (int64_t t = 0; t < taps; t++) {
        SQ_EACH acc[j] = SQ_MAX(SQ_LOAD(x[t] + i + j * SQ_LANES), acc[j]);
    }
    SQ_EACH SQ_STORE(out + i + j * SQ_LANES, acc[j], left - j * SQ_LANES);
}

static void SQ_NAME(_max_f32)(const float* const* x, int64_t taps, int64_t length, float* out) {
    int64_t i = 0;
    for (; i + 4 * SQ_LANES <= length; i += 4 * SQ_LANES) SQ_NAME(_max_block)(x, taps, i, length - i, out, 4);
    for (; i < length; i += SQ_LANES) SQ_NAME(_max_block)(x, taps, i, length - i, out, 1);
}

SQ_BODY void SQ_NAME(_sum_block)(const float* const* x, int64_t taps, int64_t i, int64_t left, float scale, float* out,
                                 const int nv) {
    SQ_V acc[4];
    SQ_EACH acc[j] = SQ_SPREAD(0.0f);
    for (int64_t t = 0; t < taps; t++) {
        SQ_EACH acc[j] = SQ_ADD(acc[j], SQ_LOAD(x[t] + i + j * SQ_LANES));
    }
    SQ_EACH SQ_STORE(out + i + j * SQ_LANES, SQ_MUL(acc[j], SQ_SPREAD(scale)), left - j * SQ_LANES);
}

static void SQ_NAME(_sum_f32)(const float* const* x, int64_t taps, int64_t length, float scale, float* out) {
    int64_t i = 0;
    for (; i + 4 * SQ_LANES <= length; i += 4 * SQ_LANES) SQ_NAME(_sum_block)(x, taps, i, length - i, scale, out, 4);
    for (; i < length; i += SQ_LANES) SQ_NAME(_sum_block)(x, taps, i, length - i, scale, out, 1);
}

static void SQ_NAME(_max_u8)(const uint8_t* const* x, int64_t taps, int64_t length, int32_t low, uint8_t* out) {
    for (int64_t i = 0; i < length; i += SQ_B_LANES) {
        SQ_B acc = SQ_B_SPREAD(low);
        for (int64_t t = 0; t < taps; t++) acc = SQ_B_MAX(acc, SQ_B_LOAD(x[t] + i));
        SQ_B_STORE(out + i, acc, length - i);
    }
}

SQ_BODY void SQ_NAME(_sum_bytes_block)(const uint8_t* const* x, int64_t taps, int64_t i, int64_t left, int32_t* out,
                                       const int nv) {
    SQ_I acc[4];
    SQ_EACH acc[j] = SQ_I_ZERO();
    for (int64_t t = 0; t < taps; t++) {
        SQ_EACH acc[j] = SQ_I_ADD(acc[j], SQ_I_BYTES(x[t] + i + j * SQ_LANES));
    }
    SQ_EACH SQ_I_STORE(out + i + j * SQ_LANES, acc[j], left - j * SQ_LANES);
}

static void SQ_NAME(_sum_u8)(const uint8_t* const* x, int64_t taps, int64_t length, int32_t* out) {
    int64_t i = 0;
    for (; i + 4 * SQ_LANES <= length; i += 4 * SQ_LANES) SQ_NAME(_sum_bytes_block)(x, taps, i, length - i, out, 4);
    for (; i < length; i += SQ_LANES) SQ_NAME(_sum_bytes_block)(x, taps, i, length - i, out, 1);
}

static void SQ_NAME(_scale_f32)(const float* sums, const float* scale, int64_t length, float* out) {
    for (int64_t i = 0; i < length; i += SQ_LANES)
        SQ_STORE(out + i, SQ_MUL(SQ_LOAD(sums + i), SQ_LOAD(scale + i)), length - i);
}

static void SQ_NAME(_round_u8)(const int32_t* sums, const int32_t* offset, const float* scale, int64_t step,
                               int64_t length, int32_t fused, int32_t y_zero, int32_t low, uint8_t* out) {
    const SQ_V zero = SQ_SPREAD((float)y_zero);
    for (int64_t i = 0; i < length; i += SQ_LANES) {
        SQ_I o = step ? SQ_I_LOAD(offset + i) : SQ_I_SPREAD(*offset);
        SQ_V m = step ? SQ_LOAD(scale + i) : SQ_SPREAD(*scale);
        SQ_V acc = SQ_TO_FLOAT(SQ_I_SUB(SQ_I_LOAD(sums + i), o));
        SQ_V v = fused ? SQ_FMA(acc, m, zero) : SQ_ADD(SQ_MUL(acc, m), zero);
        SQ_STORE_ROUNDED(out + i, SQ_CLAMP(v, (float)low), length - i);
    }
}

#undef SQ_BODY
#undef SQ_EACH
#undef SQ_V
#undef SQ_LANES
#undef SQ_SPREAD
#undef SQ_LOAD
#undef SQ_STORE
#undef SQ_MAX
#undef SQ_ADD
#undef SQ_MUL
#undef SQ_FMA
#undef SQ_CLAMP
#undef SQ_I
#undef SQ_I_ZERO
#undef SQ_I_LOAD
#undef SQ_I_SPREAD
#undef SQ_I_STORE
#undef SQ_I_ADD
#undef SQ_I_SUB
#undef SQ_I_BYTES
#undef SQ_TO_FLOAT
#undef SQ_STORE_ROUNDED
#undef SQ_B
#undef SQ_B_LANES
#undef SQ_B_SPREAD
#undef SQ_B_LOAD
#undef SQ_B_STORE
#undef SQ_B_MAX
#undef SQ_NAME
