/* Searches over a histogram for the range whose quantization costs least. All in units of a bin's width: the costs of
 * l1 and l2 are exact integers, so that equal costs are equal and the first range wins, whatever the machine.
 *
 * A range is c bins from bin b on. It is cut into `steps` equal quantized steps; step d covers positions d*c/steps ..
 * (d+1)*c/steps, and its values are those of its middle. Positions are counted in units of 1 / (2 * steps) of a bin, so
 * that bins have width U = 2 * steps, steps have width 2 * c, and the middle of step d lies at (2 * d + 1) * c. */
#ifndef SERVERQUANT_SEARCH_H
#define SERVERQUANT_SEARCH_H

#include <math.h>
#include <stdint.h>
#include <stdlib.h>

typedef __int128 sq_wide;

/* counts[n] with sums over the first i entries: of counts, counts * index, counts * index^2. */
typedef struct sq_counts {
    const int64_t* counts;
    const int64_t* sums[3]; /* n + 1 entries each */
    int64_t n;
    int64_t steps;
    int32_t squared;        /* 1: l2, 0: l1 */
} sq_counts;

/* 2 * integral of |t| or 3 * integral of t^2 over a .. b. */
static inline int64_t sq_integral(const sq_counts* h, int64_t a, int64_t b) {
    if (h->squared) return b * b * b - a * a * a;
    if (a < 0 && b > 0) return a * a + b * b;
    return a < 0 ? a * a - b * b : b * b - a * a;
}

/* Cost of one value in each bin inside a range of c bins. */
static void sq_inner_costs(const sq_counts* h, int64_t c, double* costs) {
    const int64_t u = 2 * h->steps;
    for (int64_t j = 0; j < c; j++) {
        int64_t first = j * h->steps / c, last = (j + 1) * h->steps / c;
        if (last > h->steps - 1) last = h->steps - 1;
        int64_t from = j * u - (2 * first + 1) * c, to = (j + 1) * u - (2 * last + 1) * c;
        if (first == last)
            costs[j] = (double)sq_integral(h, from, to);
        else
            costs[j] = (double)(sq_integral(h, from, c) + (last - first - 1) * sq_integral(h, -c, c) +
                                sq_integral(h, -c, to));
    }
}

/* Cost of bins i0..i1, all of which are taken for the value at `middle`, which lies outside of them. */
static sq_wide sq_outer_cost(const sq_counts* h, int64_t i0, int64_t i1, int64_t middle) {
    const sq_wide u = 2 * h->steps, q = middle;
    const sq_wide s0 = h->sums[0][i1] - h->sums[0][i0], s1 = h->sums[1][i1] - h->sums[1][i0];
    const sq_wide s2 = h->sums[2][i1] - h->sums[2][i0];
    const sq_wide linear = u * s1 - q * s0; /* sum of counts * (begin of bin - middle) */
    if (h->squared) return 3 * u * (u * u * s2 - 2 * q * u * s1 + q * q * s0) + 3 * u * u * linear + u * u * u * s0;
    sq_wide cost = 2 * u * linear + u * u * s0;
    return cost < 0 ? -cost : cost;
}

static inline int64_t sq_inside(int64_t i, int64_t n) { return i < 0 ? 0 : i > n ? n : i; }

/* The cost of the range; `inner` from sq_inner_costs(). Once it is above `limit` it need not be exact. */
static double sq_range_cost(const sq_counts* h, int64_t b, int64_t c, const double* inner, double limit) {
    const int64_t begin = sq_inside(b, h->n), end = sq_inside(b + c, h->n), u = 2 * h->steps;
    double cost = (double)(sq_outer_cost(h, 0, begin, b * u + c) + sq_outer_cost(h, end, h->n, (b + c) * u - c));
    double part[4] = {0, 0, 0, 0};
    int64_t i = begin;
    if (cost > limit) return cost;
    for (; i + 4 <= end; i += 4)
        for (int k = 0; k < 4; k++) part[k] += (double)h->counts[i + k] * inner[i + k - b];
    for (; i < end; i++) part[0] += (double)h->counts[i] * inner[i - b];
    return cost + (part[0] + part[1] + part[2] + part[3]);
}

/* What a search does for each number of bins c: the ranges b0..b1 are tried, the first of least cost is kept. */
typedef struct sq_search {
    sq_counts h;
    int32_t divergence; /* 1: kl */
    int32_t symmetric;  /* 1: only ranges around the begin of bin `zero`, or, if it is negative for l1 and l2, from bin 0 */
    int64_t zero;
    double* costs;      /* [n + 1], by c; not written where memory is missing */
    int64_t* begins;    /* [n + 1] */
} sq_search;

/* The parts of bins that lie in one quantized step. count: of all of them, without the values outside of the range. */
typedef struct sq_slices {
    double p[16], width[16]; /* a step is at most 8 bins wide */
    double count, total_width;
    int n;
} sq_slices;

/* sum p * ln(p / q) where q is the step's count, spread evenly over its slices. */
static double sq_step_divergence(sq_slices* s) {
    double sum = 0;
    for (int i = 0; i < s->n; i++)
        if (s->p[i] > 0) sum += s->p[i] * log(s->p[i] / (s->count / s->total_width * s->width[i]));
    s->n = 0;
    s->count = s->total_width = 0;
    return sum;
}

/* Kullback-Leibler divergence of a range's bins from their quantized form. Values outside of the range count for its
 * first and last bin, but not in what is quantized; shares of a bin are whole numbers. A range that holds no bin at all
 * costs nothing, as in Caffe2. */
static double sq_divergence(const sq_counts* h, int64_t b, int64_t c) {
    const int64_t begin = sq_inside(b, h->n), end = sq_inside(b + c, h->n), steps = h->steps;
    const int64_t before = h->sums[0][begin], behind = h->sums[0][h->n] - h->sums[0][end];
    double sum = 0;
    sq_slices s = {.n = 0};
    int64_t step = -1;
    if (begin >= end) return 0;
    for (int64_t j = 0; j < c; j++) {
        int64_t count = j + b >= 0 && j + b < h->n ? h->counts[j + b] : 0;
        int64_t with = count + (j == 0 ? before : 0) + (j == c - 1 ? behind : 0);
        if (with == 0) continue;
        for (int64_t d = j * steps / c; d * c < (j + 1) * steps; d++) {
            int64_t from = d * c > j * steps ? d * c : j * steps;
            int64_t to = (d + 1) * c < (j + 1) * steps ? (d + 1) * c : (j + 1) * steps;
            if (d != step) sum += sq_step_divergence(&s), step = d;
            s.width[s.n] = (double)(to - from) / (double)steps;
            s.p[s.n++] = (double)(with * (to - from) / steps);
            s.count += (double)count * (double)(to - from) / (double)steps;
            s.total_width += (double)(to - from) / (double)steps;
        }
        if (isinf(sum)) return sum;
    }
    return sum + sq_step_divergence(&s);
}

/* Items c0 <= c < c1 of the search, c = 0 aside. */
static void sq_search_some(const void* job, long long c0, long long c1) {
    const sq_search* s = (const sq_search*)job;
    double* inner = (double*)malloc((size_t)s->h.n * sizeof(double));
    for (int64_t c = c0 ? c0 : 1; c < c1 && inner; c++) {
        int64_t first = 0, last = s->h.n - c;
        if (s->symmetric) first = last = s->zero - c / 2;
        if (s->symmetric && !s->divergence && s->zero < 0) first = last = 0;
        s->costs[c] = INFINITY;
        if (!s->divergence) sq_inner_costs(&s->h, c, inner);
        for (int64_t b = first; b <= last; b++) {
            double cost = s->divergence ? sq_divergence(&s->h, b, c) : sq_range_cost(&s->h, b, c, inner, s->costs[c]);
            if (cost < s->costs[c]) s->costs[c] = cost, s->begins[c] = b;
        }
    }
    free(inner);
}

/* Narrows bins 0..n-1 from whichever side has fewer values per bin, while the l2 cost does not grow. */
static void sq_search_approx(const sq_counts* h, double* inner, int64_t* best_b, int64_t* best_c) {
    const int64_t* below = h->sums[0] + 1; /* values up to and with a bin */
    const double total = (double)h->sums[0][h->n], step = 1e-5;
    double alpha = 0, beta = 1, best = INFINITY;
    int64_t start = 0, end = h->n - 1;
    while (alpha < beta) {
        double next_alpha = alpha + step, next_beta = beta - step;
        int64_t i = start, j = end, next_start = start, next_end = end;
        while (i < end && (double)below[i] < next_alpha * total) i++;
        while (j > start && (double)below[j] > next_beta * total) j--;
        if (i - start > end - j)
            next_start = i, alpha = next_alpha;
        else
            next_end = j, beta = next_beta;
        if (next_start == start && next_end == end) continue;
        int64_t c = next_end - next_start + 1;
        sq_inner_costs(h, c, inner);
        double cost = sq_range_cost(h, next_start, c, inner, INFINITY);
        if (cost > best) break;
        best = cost, start = next_start, end = next_end;
    }
    *best_b = start, *best_c = end - start + 1;
}

#endif
