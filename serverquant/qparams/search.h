/* Searches over a histogram for the range of bins whose quantization costs least: l1, l2 and l2_approx.
 *
 * A range is c bins from bin b on, cut into `steps` equal quantized steps. The values of a bin are taken as spread
 * evenly over it; a part of it that falls into a step costs density * integral of t^2 (l2) or |t| (l1), t = distance
 * from the step's middle; bins outside fall into the first or the last step. Caffe2 sums in f32, and near the minimum
 * costs are so flat that this rounding decides: so every operation here is in its order and precision.
 *
 * What makes it quick: the cost of one value in a bin depends on the bin's distance r from the range's begin alone, so a
 * table over r serves all ranges of c bins; and the cost of what lies outside, exact from prefix sums in double, rules
 * out most ranges without a look at their inside (see sq_outside_cost).
 */
#ifndef SERVERQUANT_SEARCH_H
#define SERVERQUANT_SEARCH_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "serverquant/simd.h"

#pragma GCC optimize("O3") /* plain loops over lanes that the compiler turns into vectors */

#define SQ_SEARCH_LANES 8 /* part of the definition of l2: its costs are summed in eight lanes */

#define SQ_SEARCH_INLINE static inline __attribute__((always_inline))

#if SQ_X86 && !defined(SQ_EMULATE)
#define SQ_SEARCH_AVX2 __attribute__((target("avx2,fma")))
#else
#define SQ_SEARCH_AVX2
#endif

/* A histogram and room to work. counts: n whole numbers as f32. density: n + 8, see each search. sums[k]: n + 1 prefix
 * sums of counts * index^k. table[k]: 3 * n + 16 each.
 * l2_approx uses counts and sums alone. */
typedef struct sq_search {
    const float *counts;
    float *density;
    const double *sums[3];
    float *table[3];
    ptrdiff_t n;
    int32_t steps;
    float width;
    int32_t avx2;
} sq_search;

/* The ranges of c bins to try: begins first..last. */
typedef struct sq_begins {
    ptrdiff_t first, last;
} sq_begins;

enum { SQ_ALL_RANGES = 0, SQ_FROM_FIRST = 1, SQ_AROUND_ZERO = 2 };

/* All ranges of c bins; those from the first bin on; or those around the begin of bin `zero`, which may jut out. */
static sq_begins sq_begins_of(ptrdiff_t n, ptrdiff_t c, int around, ptrdiff_t zero) {
    const ptrdiff_t only = around == SQ_FROM_FIRST ? 0 : zero - c / 2;
    sq_begins all = {0, n - c}, one = {only, only};
    return around == SQ_ALL_RANGES ? all : one;
}

/* Density times integral, over the values outside of the range, of distance^power from the middle of the nearest step,
 * in double. No range costs less, but for rounding. */
static double sq_outside_cost(const sq_search *s, ptrdiff_t b, ptrdiff_t c, int squared) {
    const double half = 0.5 * (double)c / s->steps, w = s->width;
    const ptrdiff_t from[2] = {0, b + c}, to[2] = {b, s->n};
    double cost = 0;
    for (int side = 0; side < 2; side++) {
        const ptrdiff_t i0 = from[side] < 0 ? 0 : from[side], i1 = to[side];
        if (i0 >= i1) continue;
        const double s0 = s->sums[0][i1] - s->sums[0][i0], s1 = s->sums[1][i1] - s->sums[1][i0];
        const double s2 = s->sums[2][i1] - s->sums[2][i0];
        /* distance of a bin's middle from that of the step: index - q */
        const double q = side ? (double)(b + c) - half - 0.5 : (double)b + half - 0.5;
        const double linear = s1 - q * s0, square = s2 - 2 * q * s1 + q * q * s0 + s0 / 12;
        cost += squared ? square * w * w : fabs(linear) * w;
    }
    return cost;
}

/* Rounding errors of at most 16,384 f32 additions, and those of the table, stay far below this share. */
#define SQ_SAFE 0.97

/* ---------------------------------------------------------------- l2 */

typedef struct sq_l2_table {
    float width, step, inverse_width, inverse_step, half_step, whole, top;
} sq_l2_table;

static sq_l2_table sq_l2_constants(const sq_search *s, ptrdiff_t c) {
    sq_l2_table k;
    k.width = s->width;
    k.step = s->width * (float)c / (float)s->steps;
    k.inverse_width = 1.0f / k.width;
    k.inverse_step = 1.0f / k.step;
    k.half_step = k.step / 2;
    k.whole = k.step * k.step * k.step / 12;
    k.top = (float)(s->steps - 1);
    return k;
}

SQ_SEARCH_INLINE float sq_clip_step(float step, float top) {
    step = step < top ? step : top;
    return step > 0.0f ? step : 0.0f;
}

/* Cost of a unit of density in bins r0 <= r < r1 (relative to the range's begin), as the eight lanes have it. */
SQ_SEARCH_INLINE void sq_l2_fill_body(sq_l2_table k, float *table, ptrdiff_t r0, ptrdiff_t r1) {
    const float third = 1.0f / 3, minus_third = -1.0f / 3;
    for (ptrdiff_t r = r0; r < r1; r++) {
        const float begin = (float)(int32_t)r * k.width, end = begin + k.width;
        const float first = sq_clip_step(floorf(begin * k.inverse_step), k.top);
        const float last = sq_clip_step(floorf(end * k.inverse_step), k.top);
        const float from = begin - fmaf(first, k.step, k.half_step), to = end - fmaf(last, k.step, k.half_step);
        float cost = from * from * from * minus_third;
        cost = fmaf(to * to * to, third, cost);
        table[r - r0] = fmaf(last - first, k.whole, cost);
    }
}

/* The same for a bin behind the last whole block of eight: quotients instead of products with the inverse. */
SQ_SEARCH_INLINE float sq_l2_tail_cost(sq_l2_table k, ptrdiff_t r) {
    const float begin = (float)r * k.width, end = begin + k.width;
    const float first = sq_clip_step(floorf(begin / k.step), k.top), last = sq_clip_step(floorf(end / k.step), k.top);
    const float from = begin - fmaf(first, k.step, k.half_step), to = end - fmaf(last, k.step, k.half_step);
    float cost = -(from * from * from) / 3;
    if (first != last) cost = fmaf(last - first, k.whole, cost);
    return cost + to * to * to / 3;
}

/* Cost of the range that begins at b; table[i] is for bin i. Blocks of eight without values add nothing. */
SQ_SEARCH_INLINE float sq_l2_cost_body(const sq_search *s, sq_l2_table k, const float *table, ptrdiff_t b,
                                       const int32_t *blocks, ptrdiff_t block_count) {
    float lanes[SQ_SEARCH_LANES] = {0};
    float cost = 0;
    for (ptrdiff_t block = 0; block < block_count; block++) {
        const ptrdiff_t i = blocks[block];
        for (int j = 0; j < SQ_SEARCH_LANES; j++) lanes[j] = fmaf(s->density[i + j], table[i + j], lanes[j]);
    }
    for (int j = 0; j < SQ_SEARCH_LANES; j++) cost += lanes[j];
    for (ptrdiff_t i = s->n / SQ_SEARCH_LANES * SQ_SEARCH_LANES; i < s->n; i++)
        cost = fmaf(s->counts[i] / k.width, sq_l2_tail_cost(k, i - b), cost);
    return cost;
}

#define SQ_L2_FILL (k, table, r0, r1)
#define SQ_L2_COST (s, k, table, b, blocks, block_count)
static void sq_l2_fill_scalar(sq_l2_table k, float *table, ptrdiff_t r0, ptrdiff_t r1) { sq_l2_fill_body SQ_L2_FILL; }
SQ_SEARCH_AVX2 static void sq_l2_fill_avx2(sq_l2_table k, float *table, ptrdiff_t r0, ptrdiff_t r1) {
    sq_l2_fill_body SQ_L2_FILL;
}
static float sq_l2_cost_scalar(const sq_search *s, sq_l2_table k, const float *table, ptrdiff_t b,
                               const int32_t *blocks, ptrdiff_t block_count) {
    return sq_l2_cost_body SQ_L2_COST;
}
SQ_SEARCH_AVX2 static float sq_l2_cost_avx2(const sq_search *s, sq_l2_table k, const float *table, ptrdiff_t b,
                                            const int32_t *blocks, ptrdiff_t block_count) {
    return sq_l2_cost_body SQ_L2_COST;
}

/* The range of least cost; among equal ones that of the fewest bins, then the first. The order of the search is free
 * because ranges are only left out when they cost more than one already seen; large ranges first find a good one soon.
 * blocks: room for n / 8 numbers. */
static void sq_search_l2(const sq_search *s, int around, ptrdiff_t zero, int32_t *blocks, ptrdiff_t *best_b,
                         ptrdiff_t *best_c) {
    float best = INFINITY;
    ptrdiff_t block_count = 0;
    const float inverse_width = 1.0f / s->width;
    for (ptrdiff_t i = 0; i + SQ_SEARCH_LANES <= s->n; i += SQ_SEARCH_LANES) {
        float filled = 0;
        for (int j = 0; j < SQ_SEARCH_LANES; j++) {
            s->density[i + j] = s->counts[i + j] * inverse_width;
            filled += s->counts[i + j];
        }
        if (filled > 0) blocks[block_count++] = (int32_t)i;
    }
    for (ptrdiff_t c = s->n; c >= 1; c--) {
        const sq_l2_table k = sq_l2_constants(s, c);
        const sq_begins begins = sq_begins_of(s->n, c, around, zero);
        const ptrdiff_t r0 = -begins.last, r1 = s->n - begins.first;
        int filled = 0;
        float least = INFINITY;
        ptrdiff_t least_b = begins.first;
        for (ptrdiff_t b = begins.first; b <= begins.last; b++) {
            if (SQ_SAFE * sq_outside_cost(s, b, c, 1) > best) continue;
            if (!filled) (s->avx2 ? sq_l2_fill_avx2 : sq_l2_fill_scalar)(k, s->table[0], r0, r1);
            filled = 1;
            const float *table = s->table[0] + (-b - r0);
            const float cost = (s->avx2 ? sq_l2_cost_avx2 : sq_l2_cost_scalar)SQ_L2_COST;
            if (cost < least) least = cost, least_b = b;
        }
        if (least <= best && least < INFINITY) best = least, *best_b = least_b, *best_c = c;
    }
}

/* ---------------------------------------------------------------- l1, and the integrals that l2_approx shares */

/* density * integral of t^2 or |t| over begin..end, all in f32. */
SQ_SEARCH_INLINE float sq_integral(float begin, float end, int squared) {
    float sum = 0;
    if (squared) return (end * end * end - begin * begin * begin) / 3;
    const float left_begin = begin < 0 ? begin : 0, left_end = end < 0 ? end : 0;
    sum += (left_begin * left_begin - left_end * left_end) / 2;
    const float right_begin = begin > 0 ? begin : 0, right_end = end > 0 ? end : 0;
    sum += (right_end * right_end - right_begin * right_begin) / 2;
    return sum;
}

/* For bins r1 > r > r0 - 1 in DESCENDING order: integral in the first step, steps wholly covered, integral in the last
 * step. A bin inside one step has zeros in the last two. */
static void sq_l1_fill(const sq_search *s, float step, ptrdiff_t r0, ptrdiff_t r1) {
    const float width = s->width, half = step / 2, top = (float)(s->steps - 1);
    for (ptrdiff_t r = r0; r < r1; r++) {
        const ptrdiff_t i = r1 - 1 - r;
        const float begin = (float)r * width, end = begin + width;
        const float first = sq_clip_step(floorf(begin / step), top), last = sq_clip_step(floorf(end / step), top);
        const float from = begin - (first * step + half), to = end - (last * step + half);
        const int same = first == last;
        s->table[0][i] = sq_integral(from, same ? to : half, 0);
        s->table[1][i] = same ? 0 : last - first - 1;
        s->table[2][i] = same ? 0 : sq_integral(-half, to, 0);
    }
}

/* Costs of the eight ranges that begin at b .. b + 7, a lane each, their bins added in order. filled: indices of the
 * bins with values. at: where the table has r = -b. */
SQ_SEARCH_INLINE void sq_l1_costs_body(const sq_search *s, float whole, ptrdiff_t at, const int32_t *filled,
                                       ptrdiff_t filled_count, float *costs) {
    float lanes[SQ_SEARCH_LANES] = {0};
    for (ptrdiff_t f = 0; f < filled_count; f++) {
        const ptrdiff_t i = filled[f], t = at - i;
        const float density = s->density[i], middle = density * whole;
        for (int j = 0; j < SQ_SEARCH_LANES; j++) {
            const float first = density * s->table[0][t + j], between = s->table[1][t + j] * middle;
            const float last = density * s->table[2][t + j];
            lanes[j] = lanes[j] + first + between + last;
        }
    }
    for (int j = 0; j < SQ_SEARCH_LANES; j++) costs[j] = lanes[j];
}

#define SQ_L1_COSTS (s, whole, at, filled, filled_count, costs)
static void sq_l1_costs_scalar(const sq_search *s, float whole, ptrdiff_t at, const int32_t *filled,
                               ptrdiff_t filled_count, float *costs) {
    sq_l1_costs_body SQ_L1_COSTS;
}
SQ_SEARCH_AVX2 static void sq_l1_costs_avx2(const sq_search *s, float whole, ptrdiff_t at, const int32_t *filled,
                                            ptrdiff_t filled_count, float *costs) {
    sq_l1_costs_body SQ_L1_COSTS;
}

/* As sq_search_l2. filled: room for n numbers. */
static void sq_search_l1(const sq_search *s, int around, ptrdiff_t zero, int32_t *filled, ptrdiff_t *best_b,
                         ptrdiff_t *best_c) {
    float best = INFINITY, costs[SQ_SEARCH_LANES];
    ptrdiff_t filled_count = 0;
    for (ptrdiff_t i = 0; i < s->n; i++) {
        s->density[i] = s->counts[i] / s->width;
        if (s->counts[i] > 0) filled[filled_count++] = (int32_t)i;
    }
    for (ptrdiff_t c = s->n; c >= 1; c--) {
        const float step = s->width * (float)c / (float)s->steps, whole = sq_integral(-step / 2, step / 2, 0);
        const sq_begins begins = sq_begins_of(s->n, c, around, zero);
        const ptrdiff_t r0 = -begins.last - SQ_SEARCH_LANES, r1 = s->n - begins.first;
        int ready = 0;
        float least = INFINITY;
        ptrdiff_t least_b = begins.first;
        for (ptrdiff_t b = begins.first; b <= begins.last; b++) {
            if (SQ_SAFE * sq_outside_cost(s, b, c, 0) > best) continue;
            if (!ready) sq_l1_fill(s, step, r0, r1);
            ready = 1;
            const ptrdiff_t at = r1 - 1 + b;
            (s->avx2 ? sq_l1_costs_avx2 : sq_l1_costs_scalar)SQ_L1_COSTS;
            for (ptrdiff_t j = 0; j < SQ_SEARCH_LANES && b + j <= begins.last; j++)
                if (costs[j] < least) least = costs[j], least_b = b + j;
            b += SQ_SEARCH_LANES - 1;
        }
        if (least <= best && least < INFINITY) best = least, *best_b = least_b, *best_c = c;
    }
}

/* ---------------------------------------------------------------- l2_approx */

/* Cost of bins start..start+c-1: distances in double, integrals in f32, the sum in double. No value lies outside of bins
 * i0 <= i < i1. */
static double sq_approx_cost(const sq_search *s, ptrdiff_t start, ptrdiff_t c, ptrdiff_t i0, ptrdiff_t i1) {
    const double step = s->width * (float)c / (float)s->steps, top = s->steps - 1;
    const float half = (float)(step / 2);
    double cost = 0;
    for (ptrdiff_t i = i0; i < i1; i++) {
        if (s->counts[i] == 0) continue;
        const double begin = (float)(i - start) * s->width, end = begin + s->width;
        const double first = fmin(top, fmax(0, floor(begin / step))), last = fmin(top, fmax(0, floor(end / step)));
        const float density = s->counts[i] / s->width;
        const float from = (float)(begin - (first * step + step / 2)), to = (float)(end - (last * step + step / 2));
        if (first == last) {
            cost += density * sq_integral(from, to, 1);
            continue;
        }
        cost += density * sq_integral(from, half, 1);
        cost += (float)(last - first - 1) * (density * sq_integral(-half, half, 1));
        cost += density * sq_integral(-half, to, 1);
    }
    return cost;
}

/* Narrows the range from whichever side has more bins below the next quantile, while the cost does not grow. */
static void sq_search_l2_approx(const sq_search *s, ptrdiff_t *best_b, ptrdiff_t *best_c) {
    const double *below = s->sums[0] + 1; /* values up to and with a bin */
    const double total = s->sums[0][s->n], stride = 0.00001;
    double alpha = 0, beta = 1, best = INFINITY;
    ptrdiff_t start = 0, end = s->n - 1, i0 = 0, i1 = s->n;
    while (i0 < i1 && s->counts[i0] == 0) i0++;
    while (i1 > i0 && s->counts[i1 - 1] == 0) i1--;
    while (alpha < beta) {
        const double next_alpha = alpha + stride, next_beta = beta - stride;
        ptrdiff_t i = start, j = end, next_start = start, next_end = end;
        while (i < end && below[i] < next_alpha * total) i++;
        while (j > start && below[j] > next_beta * total) j--;
        if (i - start > end - j) {
            next_start = i;
            alpha = next_alpha;
        } else {
            next_end = j;
            beta = next_beta;
        }
        if (next_start == start && next_end == end) continue;
        const double cost = sq_approx_cost(s, next_start, next_end - next_start + 1, i0, i1);
        if (cost > best) break;
        best = cost;
        start = next_start;
        end = next_end;
    }
    *best_b = start;
    *best_c = end - start + 1;
}

#endif
