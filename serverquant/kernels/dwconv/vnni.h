/* The depthwise tile for one width of vectors; avx512vnni.h includes it twice.
 *
 * DW_NAME(x) names the functions of this width; DW_VEC, DW_MASK, DW_OP(x), DW_LOADU, DW_Q31 ... are its types and
 * intrinsics; DW_CHANNELS is 64 or 32. Weights, bias and multipliers lie as for 512 bits: with 256 the lower half of
 * each vector is used, which holds the first 32 channels.
 */

/* The channels of a row; those outside the mask do not exist. */
SQ_INLINE DW_VEC DW_NAME(load)(const uint8_t* p, DW_MASK exist, const int full) {
    return full ? DW_LOADU(p) : DW_OP(maskz_loadu_epi8)(exist, (const void*)p);
}

/* Adds four taps; with `sums`, also the plain sums of the activations. */
SQ_INLINE void DW_NAME(four)(DW_VEC acc[4], DW_VEC sum[4], const DW_VEC a[4], const int8_t* w, const int sums) {
    const DW_VEC lo01 = DW_OP(unpacklo_epi8)(a[0], a[1]), hi01 = DW_OP(unpackhi_epi8)(a[0], a[1]);
    const DW_VEC lo23 = DW_OP(unpacklo_epi8)(a[2], a[3]), hi23 = DW_OP(unpackhi_epi8)(a[2], a[3]);
    const DW_VEC x[4] = {DW_OP(unpacklo_epi16)(lo01, lo23), DW_OP(unpackhi_epi16)(lo01, lo23),
                         DW_OP(unpacklo_epi16)(hi01, hi23), DW_OP(unpackhi_epi16)(hi01, hi23)};
#pragma GCC unroll 4
    for (int v = 0; v < 4; v++) {
        acc[v] = DW_OP(dpbusd_epi32)(acc[v], x[v], DW_LOADU(w + 64 * v));
        if (sums) sum[v] = DW_OP(dpbusd_epi32)(sum[v], x[v], DW_OP(set1_epi8)(1));
    }
}

SQ_INLINE void DW_NAME(sums)(const sq_dw_tile* t, int32_t pixel, DW_MASK exist, const int full, const int sums,
                             const int32_t* zeros, DW_VEC acc[4]) {
    const uint8_t* const* a = t->a + pixel;
    const int8_t* w = t->w;
    DW_VEC x[4], sum[4];
    int32_t tap = 0;
    for (int v = 0; v < 4; v++) sum[v] = DW_ZERO();
    for (; tap <= t->taps - 4; tap += 4, w += 256) {
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++) x[i] = DW_NAME(load)(a[(tap + i) * t->a_stride] + t->offset, exist, full);
        DW_NAME(four)(acc, sum, x, w, sums);
    }
    if (tap < t->taps) {
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++)
            x[i] = tap + i < t->taps ? DW_NAME(load)(a[(tap + i) * t->a_stride] + t->offset, exist, full) : DW_ZERO();
        DW_NAME(four)(acc, sum, x, w, sums);
    }
#pragma GCC unroll 4
    for (int v = 0; sums && v < 4; v++)
        acc[v] = DW_OP(sub_epi32)(acc[v], DW_OP(mullo_epi32)(sum[v], DW_LOADU(zeros + 16 * v)));
}

/* Four vectors of sums to bytes, requantized. */
SQ_INLINE DW_VEC DW_NAME(requantize)(const sq_epilogue* ep, DW_VEC acc[4], const float* m) {
    const DW_VEC zero_point = DW_OP(set1_epi16)((short)ep->zero_point);
#pragma GCC unroll 4
    for (int v = 0; v < 4; v++)
        acc[v] = ep->kind == SQ_REQUANT_Q31
                     ? DW_Q31(acc[v], ep)
                     : DW_OP(cvtps_epi32)(DW_OP(mul_ps)(DW_OP(cvtepi32_ps)(acc[v]), DW_OP(loadu_ps)(m + 16 * v)));
    const DW_VEC q = DW_OP(packus_epi16)(DW_OP(adds_epi16)(DW_OP(packs_epi32)(acc[0], acc[1]), zero_point),
                                         DW_OP(adds_epi16)(DW_OP(packs_epi32)(acc[2], acc[3]), zero_point));
    return DW_OP(min_epu8)(DW_OP(max_epu8)(q, DW_OP(set1_epi8)((char)ep->lo)), DW_OP(set1_epi8)((char)ep->hi));
}

SQ_INLINE void DW_NAME(run)(const sq_dw_tile* t, const int full, const int sums) {
    const sq_epilogue* ep = t->ep;
    const DW_MASK exist = (DW_MASK)(~(DW_MASK)0 >> (DW_CHANNELS - t->n));
    int32_t bias[64] = {0}, zeros[64] = {0}, out[64];
    float m[64] = {0};
    for (int32_t c = 0; c < t->n; c++) {
        int32_t at = sq_dw_vnni_place(c);
        bias[at] = ep->bias[t->column + c];
        if (sums) zeros[at] = t->zero_points[c];
        if (ep->kind == SQ_REQUANT_F32) m[at] = ep->multiplier[ep->per_column ? t->column + c : 0];
    }
    for (int32_t i = 0; i < t->pixels; i++) {
        DW_VEC acc[4];
#pragma GCC unroll 4
        for (int v = 0; v < 4; v++) acc[v] = DW_LOADU(bias + 16 * v);
        DW_NAME(sums)(t, i, exist, full, sums, zeros, acc);
        if (ep->kind >= SQ_RAW_S32) {
            for (int v = 0; v < 4; v++) DW_STOREU(out + 16 * v, acc[v]);
            for (int32_t c = 0; c < t->n; c++)
                sq_finish_one(ep, out[sq_dw_vnni_place(c)], t->column + c, t->c, i * t->ldc + c);
            continue;
        }
        const DW_VEC q = DW_NAME(requantize)(ep, acc, m);
        if (full)
            DW_STOREU((uint8_t*)t->c + i * t->ldc, q);
        else
            DW_OP(mask_storeu_epi8)((void*)((uint8_t*)t->c + i * t->ldc), exist, q);
    }
}

static void DW_NAME(full)(const sq_dw_tile* t) { DW_NAME(run)(t, 1, 0); }
static void DW_NAME(full_sums)(const sq_dw_tile* t) { DW_NAME(run)(t, 1, 1); }
static void DW_NAME(part)(const sq_dw_tile* t) { DW_NAME(run)(t, 0, 0); }
static void DW_NAME(part_sums)(const sq_dw_tile* t) { DW_NAME(run)(t, 0, 1); }

#undef DW_NAME
#undef DW_VEC
#undef DW_MASK
#undef DW_OP
#undef DW_CHANNELS
#undef DW_LOADU
#undef DW_STOREU
#undef DW_ZERO
#undef DW_Q31
