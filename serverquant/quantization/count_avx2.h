/* A scan by AVX2, included by count.h. */
#ifndef SERVERQUANT_COUNT_AVX2_H
#define SERVERQUANT_COUNT_AVX2_H

/* By mask of 8 lanes: the numbers of those in it, a byte each, those in front first; then anything. LOW: of 4 lanes. */
#define SQ_LOW_0 0u, 0
#define SQ_LOW_1 0u, 1
#define SQ_LOW_2 1u, 1
#define SQ_LOW_3 0x0100u, 2
#define SQ_LOW_4 2u, 1
#define SQ_LOW_5 0x0200u, 2
#define SQ_LOW_6 0x0201u, 2
#define SQ_LOW_7 0x020100u, 3
#define SQ_LOW_8 3u, 1
#define SQ_LOW_9 0x0300u, 2
#define SQ_LOW_A 0x0301u, 2
#define SQ_LOW_B 0x030100u, 3
#define SQ_LOW_C 0x0302u, 2
#define SQ_LOW_D 0x030200u, 3
#define SQ_LOW_E 0x030201u, 3
#define SQ_LOW_F 0x03020100u, 4
#define SQ_BEHIND_(low, low_count, high, high_count) (low | (uint64_t)(high + 0x04040404u) << 8 * low_count)
#define SQ_BEHIND(...) SQ_BEHIND_(__VA_ARGS__)
#define SQ_LANES(high)                                                                                             \
    SQ_BEHIND(SQ_LOW_0, high), SQ_BEHIND(SQ_LOW_1, high), SQ_BEHIND(SQ_LOW_2, high), SQ_BEHIND(SQ_LOW_3, high),    \
        SQ_BEHIND(SQ_LOW_4, high), SQ_BEHIND(SQ_LOW_5, high), SQ_BEHIND(SQ_LOW_6, high), SQ_BEHIND(SQ_LOW_7, high), \
        SQ_BEHIND(SQ_LOW_8, high), SQ_BEHIND(SQ_LOW_9, high), SQ_BEHIND(SQ_LOW_A, high), SQ_BEHIND(SQ_LOW_B, high), \
        SQ_BEHIND(SQ_LOW_C, high), SQ_BEHIND(SQ_LOW_D, high), SQ_BEHIND(SQ_LOW_E, high), SQ_BEHIND(SQ_LOW_F, high)

static const uint64_t sq_count_lanes[256] = {
    SQ_LANES(SQ_LOW_0), SQ_LANES(SQ_LOW_1), SQ_LANES(SQ_LOW_2), SQ_LANES(SQ_LOW_3), SQ_LANES(SQ_LOW_4),
    SQ_LANES(SQ_LOW_5), SQ_LANES(SQ_LOW_6), SQ_LANES(SQ_LOW_7), SQ_LANES(SQ_LOW_8), SQ_LANES(SQ_LOW_9),
    SQ_LANES(SQ_LOW_A), SQ_LANES(SQ_LOW_B), SQ_LANES(SQ_LOW_C), SQ_LANES(SQ_LOW_D), SQ_LANES(SQ_LOW_E),
    SQ_LANES(SQ_LOW_F)};

SQ_TARGET_AVX2_BEGIN

/* holes: sums of x * 0, which only what is not finite makes NaN. */
typedef struct v256_ends {
    __m256 lo, hi, holes;
} v256_ends;

/* lo, hi: x, but for lanes that are not there. */
SQ_INLINE void v256_widen(v256_ends *e, __m256 x, __m256 lo, __m256 hi) {
    e->lo = _mm256_min_ps(e->lo, lo);
    e->hi = _mm256_max_ps(e->hi, hi);
    e->holes = _mm256_fmadd_ps(x, _mm256_setzero_ps(), e->holes);
}

typedef struct v256_bins {
    __m256 factor, bottom, top;
    __m256i first;
} v256_bins;

/* Store the bins' numbers of the lanes that are not 0; how many those are. A product that underflows to -0 belongs to what
 * is below 0. */
SQ_INLINE int64_t v256_place(__m256 x, const v256_bins *b, uint32_t *places) {
    x = _mm256_min_ps(_mm256_max_ps(x, b->bottom), b->top);
    const __m256 most = _mm256_blendv_ps(_mm256_set1_ps(INFINITY), _mm256_set1_ps(-1.0f), x);
    const __m256 bin = _mm256_min_ps(_mm256_floor_ps(_mm256_mul_ps(x, b->factor)), most);
    const __m256i place = _mm256_sub_epi32(_mm256_cvttps_epi32(bin), b->first);
    const int there = _mm256_movemask_ps(_mm256_cmp_ps(x, _mm256_setzero_ps(), _CMP_NEQ_UQ));
    const __m256i lanes = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(sq_count_lanes + there)));
    _mm256_storeu_si256((__m256i *)places, _mm256_permutevar8x32_epi32(place, lanes));
    return __builtin_popcount((unsigned)there);
}

SQ_INLINE float v256_least(__m256 v) {
    __m128 m = _mm_min_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    m = _mm_min_ps(m, _mm_movehl_ps(m, m));
    return _mm_cvtss_f32(_mm_min_ss(m, _mm_movehdup_ps(m)));
}

SQ_INLINE int64_t v256_scan(const float *x, int64_t n, const sq_count_bins *bins, uint32_t *places,
                            sq_count_ends *ends) {
    const __m256 none = _mm256_set1_ps(INFINITY);
    v256_bins to = {none, none, none, _mm256_setzero_si256()};
    if (places)
        to = (v256_bins){_mm256_set1_ps((float)bins->factor), _mm256_set1_ps(bins->bottom), _mm256_set1_ps(bins->top),
                         _mm256_set1_epi32(bins->first)};
    v256_ends e[2];
    for (int k = 0; k < 2; k++) e[k] = (v256_ends){none, -none, _mm256_setzero_ps()};
    int64_t i = 0, kept = 0;
    for (; i + 16 <= n; i += 16) {
        _mm_prefetch((const char *)(x + i + SQ_COUNT_CHUNK), _MM_HINT_T0);
        const __m256 a = _mm256_loadu_ps(x + i), b = _mm256_loadu_ps(x + i + 8);
        v256_widen(&e[0], a, a, a);
        v256_widen(&e[1], b, b, b);
        if (places) {
            kept += v256_place(a, &to, places + kept);
            kept += v256_place(b, &to, places + kept);
        }
    }
    for (; i < n; i += 8) {
        const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
        const __m256i there = _mm256_cmpgt_epi32(_mm256_set1_epi32(n - i < 8 ? (int)(n - i) : 8), lane);
        const __m256 a = _mm256_maskload_ps(x + i, there), mask = _mm256_castsi256_ps(there);
        v256_widen(&e[0], a, _mm256_blendv_ps(none, a, mask), _mm256_blendv_ps(-none, a, mask));
        if (places) kept += v256_place(a, &to, places + kept);
    }
    ends->lo = v256_least(_mm256_min_ps(e[0].lo, e[1].lo));
    ends->hi = -v256_least(-_mm256_max_ps(e[0].hi, e[1].hi));
    const __m256 holes = _mm256_add_ps(e[0].holes, e[1].holes);
    ends->holed = _mm256_movemask_ps(_mm256_cmp_ps(holes, holes, _CMP_UNORD_Q)) != 0;
    return kept;
}

static int64_t sq_count_scan_avx2(const float *x, int64_t n, const sq_count_bins *bins, uint32_t *places,
                                  sq_count_ends *ends) {
    return places ? v256_scan(x, n, bins, places, ends) : v256_scan(x, n, NULL, NULL, ends);
}

SQ_TARGET_END
#endif
