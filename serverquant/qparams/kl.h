/* Search over a histogram for the range of least Kullback-Leibler divergence between the values and their quantization.
 *
 * A range is c bins from bin b on, cut into `steps` equal quantized steps, which may take fractions of bins. P: the
 * counts, those left of the range added to its first bin, those right of it to its last; a fraction of a bin counts the
 * whole part of that share of it. Q: a step's own counts spread evenly over its part that is not empty.
 * The divergence is sum P * ln(P / Q), in double, in the order that Caffe2 sums it.
 */
#ifndef SERVERQUANT_KL_H
#define SERVERQUANT_KL_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>

/* counts: n. below: n + 1 prefix sums of counts. */
typedef struct sq_kl {
    const int64_t *counts;
    const int64_t *below;
    ptrdiff_t n;
    int32_t steps;
} sq_kl;

/* A range with what all its steps need. first, last: bins that take the values outside. */
typedef struct sq_kl_range {
    ptrdiff_t b, c, first, last;
    int64_t left, right;
} sq_kl_range;

static sq_kl_range sq_kl_range_of(const sq_kl *h, ptrdiff_t b, ptrdiff_t c) {
    const ptrdiff_t begin = b < 0 ? 0 : b > h->n ? h->n : b, end = b + c > h->n ? h->n : b + c < 0 ? 0 : b + c;
    sq_kl_range range = {b, c, b < 0 ? 0 : b, end - 1, h->below[begin], h->below[h->n] - h->below[end]};
    return range;
}

/* One step: its bins begin <= i < end, of which it takes `head` of the first and `tail` of the last. */
typedef struct sq_kl_step {
    ptrdiff_t begin, end;
    double head, tail;
} sq_kl_step;

static inline sq_kl_step sq_kl_step_of(const sq_kl *h, const sq_kl_range *r, int32_t d) {
    const double from = (double)r->b + (double)d * (double)r->c / (double)h->steps;
    const double to = (double)r->b + (double)(d + 1) * (double)r->c / (double)h->steps;
    sq_kl_step step = {(ptrdiff_t)from, (ptrdiff_t)ceil(to), 0, 0};
    if (step.begin == step.end - 1) {
        step.head = step.tail = to - from;
    } else {
        step.head = (double)(step.begin + 1) - from;
        step.tail = to - (double)(step.end - 1);
    }
    return step;
}

static inline double sq_kl_fraction(const sq_kl_step *step, ptrdiff_t i) {
    return i == step->begin ? step->head : i == step->end - 1 ? step->tail : 1.0;
}

/* Counts that fall on bin i from outside of the range. */
static inline int64_t sq_kl_spill(const sq_kl_range *r, ptrdiff_t i) {
    return (i == r->first ? r->left : 0) + (i == r->last ? r->right : 0);
}

/* `sum` plus the step's part of the divergence. */
static double sq_kl_add_step(const sq_kl *h, const sq_kl_range *r, int32_t d, double sum) {
    const sq_kl_step step = sq_kl_step_of(h, r, d);
    const double total = (double)h->below[h->n];
    const ptrdiff_t begin = step.begin < 0 ? 0 : step.begin, end = step.end > h->n ? h->n : step.end;
    double inside = 0, length = 0;
    for (ptrdiff_t i = begin; i < end; i++) {
        const double fraction = sq_kl_fraction(&step, i), share = (double)h->counts[i] * fraction;
        double held = share;
        inside += share;
        if (i == r->first) held += (double)r->left;
        if (i == r->last) held += (double)r->right;
        if (held > 0) length += fraction;
    }
    for (ptrdiff_t i = begin; i < end; i++) {
        const double fraction = sq_kl_fraction(&step, i);
        const int64_t held = (int64_t)((double)(h->counts[i] + sq_kl_spill(r, i)) * fraction);
        if (held <= 0) continue;
        const double p = (double)held / total, q = inside * fraction / length / total;
        sum += p * log(p / q);
    }
    return sum;
}

/* A bound from below on what steps d.. will add, by sum p ln(p/q) >= P ln(P/Q) for their sums P and Q: Q is at most the
 * counts from their first bin on, P at least the bins behind that, with the spill at the right if the last bin is one of
 * them, less one for each fraction. */
static double sq_kl_rest(const sq_kl *h, const sq_kl_range *r, int32_t d) {
    const double total = (double)h->below[h->n];
    const ptrdiff_t begin = sq_kl_step_of(h, r, d).begin, end = r->last + 1;
    const ptrdiff_t i0 = begin < 0 ? 0 : begin > end ? end : begin, i1 = i0 < end ? i0 + 1 : end;
    const double most = (double)(h->below[end] - h->below[i0]) / total;
    const int64_t whole = h->below[end] - h->below[i1] + (i1 < end ? r->right : 0);
    const double least = ((double)whole - 2.0 * (h->steps - d)) / total;
    if (most <= 0) return 0;
    return least > most * 0.3678794412 ? least * log(least / most) : most * -0.3678794412;
}

/* The divergence of a range; anything above `limit` once it is sure to exceed that. */
static double sq_kl_divergence(const sq_kl *h, ptrdiff_t b, ptrdiff_t c, double limit) {
    const sq_kl_range range = sq_kl_range_of(h, b, c);
    double sum = 0;
    for (int32_t d = 0; d < h->steps; d++) {
        sum = sq_kl_add_step(h, &range, d, sum);
        if (d % 8 == 0 && d + 1 < h->steps && sum + sq_kl_rest(h, &range, d + 1) > limit + 1e-9) return INFINITY;
    }
    return sum;
}

/* The range of least divergence; among equal ones that of the fewest bins, then the first. around, zero: see
 * sq_begins_of. Large ranges first, for a good limit soon; the order changes nothing. */
static void sq_search_kl(const sq_kl *h, int around, ptrdiff_t zero, ptrdiff_t *best_b, ptrdiff_t *best_c) {
    double best = INFINITY;
    for (ptrdiff_t c = h->n; c >= 1; c--) {
        const sq_begins begins = sq_begins_of(h->n, c, around, zero);
        double least = INFINITY;
        ptrdiff_t least_b = begins.first;
        for (ptrdiff_t b = begins.first; b <= begins.last; b++) {
            const double divergence = sq_kl_divergence(h, b, c, best);
            if (divergence < least) {
                least = divergence;
                least_b = b;
            }
        }
        if (least <= best && least < INFINITY) {
            best = least;
            *best_b = least_b;
            *best_c = c;
        }
    }
}

#endif
