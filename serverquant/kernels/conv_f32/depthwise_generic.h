/* Depthwise bodies, written once. The including header defines, for its instruction set,
 *   SQ_V, SQ_LANES, SQ_ZERO(), SQ_LOAD(p), SQ_STORE(p, v), SQ_STORE_PART(p, v, count), SQ_SPREAD(p), SQ_FMA(a, b, c),
 *   SQ_ADD(a, b), SQ_CLIP(v, lo, hi), SQ_NAME(suffix).
 * No include guard: it is included once an instruction set. */

#define SQ_BODY SQ_INLINE
#define SQ_EACH _Pragma("GCC unroll 8") for (int j = 0; j < nv; j++)

/* nv vectors of the flat row at `x`. */
SQ_BODY void SQ_NAME(_flat_block)(const float* x, const int64_t* offset, int64_t taps, const float* w,
                                  const float* bias, const sq_bounds* bounds, float* out, const int nv) {
    SQ_V acc[8];
    SQ_EACH acc[j] = SQ_ZERO();
    for (int64_t t = 0; t < taps; t++) {
        const float* at = x + offset[t];
        SQ_V weight = SQ_SPREAD(w + t);
        SQ_EACH acc[j] = SQ_FMA(weight, SQ_LOAD(at + j * SQ_LANES), acc[j]);
    }
    if (bias) {
        SQ_EACH acc[j] = SQ_ADD(acc[j], SQ_SPREAD(bias));
    }
    if (bounds) {
        SQ_V lo = SQ_SPREAD(&bounds->lo), hi = SQ_SPREAD(&bounds->hi);
        SQ_EACH acc[j] = SQ_CLIP(acc[j], lo, hi);
    }
    SQ_EACH SQ_STORE(out + j * SQ_LANES, acc[j]);
}

static void SQ_NAME(_flat)(const float* x, const int64_t* offset, int64_t taps, const float* w, const float* bias,
                           const sq_bounds* bounds, int64_t length, float* out) {
    int64_t q = 0;
    /* Two multiply-adds a cycle of four cycles each: eight chains keep the units busy. */
    for (; q + 7 * SQ_LANES < length; q += 8 * SQ_LANES)
        SQ_NAME(_flat_block)(x + q, offset, taps, w, bias, bounds, out + q, 8);
    for (; q + 3 * SQ_LANES < length; q += 4 * SQ_LANES)
        SQ_NAME(_flat_block)(x + q, offset, taps, w, bias, bounds, out + q, 4);
    if (q + SQ_LANES < length) {
        SQ_NAME(_flat_block)(x + q, offset, taps, w, bias, bounds, out + q, 2);
        q += 2 * SQ_LANES;
    }
    if (q < length) SQ_NAME(_flat_block)(x + q, offset, taps, w, bias, bounds, out + q, 1);
}

/* nv vectors of channels from c on; the last one holds `last`. */
SQ_BODY void SQ_NAME(_channel_block)(const float* const* x, int64_t taps, const float* w, const float* bias,
                                     const sq_bounds* bounds, int64_t length, int64_t c, int64_t last, float* out,
                                     const int nv) {
    SQ_V acc[4];
    SQ_EACH acc[j] = SQ_ZERO();
    for (int64_t t = 0; t < taps; t++) {
        const float* at = x[t] + c;
        const float* weight = w + t * length + c;
        SQ_EACH acc[j] = SQ_FMA(SQ_LOAD(weight + j * SQ_LANES), SQ_LOAD(at + j * SQ_LANES), acc[j]);
    }
    if (bias) {
        SQ_EACH acc[j] = SQ_ADD(acc[j], SQ_LOAD(bias + c + j * SQ_LANES));
    }
    if (bounds) {
        SQ_V lo = SQ_SPREAD(&bounds->lo), hi = SQ_SPREAD(&bounds->hi);
        SQ_EACH acc[j] = SQ_CLIP(acc[j], lo, hi);
    }
    SQ_EACH {
        if (j == nv - 1 && last < SQ_LANES)
            SQ_STORE_PART(out + c + j * SQ_LANES, acc[j], last);
        else
            SQ_STORE(out + c + j * SQ_LANES, acc[j]);
    }
}

static void SQ_NAME(_channels)(const float* const* x, int64_t taps, const float* w, const float* bias, const sq_bounds* bounds,
                               int64_t length, float* out) {
    int64_t c = 0;
    for (; c + 4 * SQ_LANES <= length; c += 4 * SQ_LANES)
        SQ_NAME(_channel_block)(x, taps, w, bias, bounds, length, c, SQ_LANES, out, 4);
    for (; c < length; c += SQ_LANES)
        SQ_NAME(_channel_block)(x, taps, w, bias, bounds, length, c, length - c, out, 1);
}

#undef SQ_BODY
#undef SQ_EACH
#undef SQ_V
#undef SQ_LANES
#undef SQ_ZERO
#undef SQ_LOAD
#undef SQ_STORE
#undef SQ_STORE_PART
#undef SQ_SPREAD
#undef SQ_FMA
#undef SQ_ADD
#undef SQ_CLIP
#undef SQ_NAME
