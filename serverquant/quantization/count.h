/* One pass over the values of a blob: smallest and largest, the largest magnitude of every channel, and counts in bins of
 * width 2^e.
 *
 * Values are taken in chunks that stay in the first-level cache: a chunk is measured, then counted if the bins hold all
 * of it. What they do not hold is left pending; the caller makes more bins, or wider ones, and passes again over that.
 */
#ifndef SERVERQUANT_COUNT_H
#define SERVERQUANT_COUNT_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "serverquant/simd.h"

#pragma GCC optimize("O3")

#define SQ_COUNT_CHUNK 4096
#define SQ_COUNT_BLOCK 512
#define SQ_COUNT_TABLES 4 /* neighbours are often equal: one table would wait for its own last store */

#if SQ_X86 && !defined(SQ_EMULATE)
#define SQ_COUNT_AVX2 __attribute__((target("avx2")))
#else
#define SQ_COUNT_AVX2
#endif
#define SQ_COUNT_INLINE static inline __attribute__((always_inline))

enum { SQ_COUNT_DONE = 0, SQ_COUNT_PENDING = 1, SQ_COUNT_MEASURED = 2, SQ_COUNT_HOLED = 3 };

/* x: [size / (channels * inner)][channels][inner]; channels is 0 where no maxima are wanted. width: 2^e, factor: 2^-e.
 * The bins are numbers first..first + bins - 1, a value's is floor(x * factor). state: of each chunk, one of the above;
 * measured and holed (by a NaN or an infinity) chunks are still to be counted. */
typedef struct sq_count_job {
    const float *x;
    int64_t size, channels, inner;
    double factor, width;
    int32_t first, bins;
    uint8_t *state;
    int32_t avx2;
} sq_count_job;

/* Of one thread. lo, hi: as sq_ordered, of finite values. maxima: [channels], magnitudes. tables: SQ_COUNT_TABLES of
 * `bins` counts. */
typedef struct sq_count_tally {
    int32_t lo, hi;
    int64_t not_finite, pending;
    float *maxima;
    uint32_t *tables;
} sq_count_tally;

/* Floats as integers of the same order, and back. */
SQ_COUNT_INLINE int32_t sq_ordered(int32_t bits) { return bits ^ (bits >> 31 & 0x7fffffff); }

SQ_COUNT_INLINE float sq_of_ordered(int32_t ordered) {
    const int32_t bits = sq_ordered(ordered);
    float x;
    memcpy(&x, &bits, sizeof x);
    return x + 0.0f; /* no negative zero, whose place among zeros would be chance */
}

#define SQ_LARGEST_ORDERED 0x7f7fffff /* FLT_MAX; its negative is one below minus this */

/* Smallest and largest of n values, by order of their integers. */
SQ_COUNT_INLINE void sq_count_ends_body(const float *x, int64_t n, int32_t *lo, int32_t *hi) {
    int32_t least = INT32_MAX, most = INT32_MIN;
    for (int64_t i = 0; i < n; i++) {
        int32_t bits;
        memcpy(&bits, x + i, sizeof bits);
        const int32_t ordered = sq_ordered(bits);
        least = ordered < least ? ordered : least;
        most = ordered > most ? ordered : most;
    }
    *lo = least;
    *hi = most;
}

/* maxima[i] = max(maxima[i], |x[i]|), all finite. */
SQ_COUNT_INLINE void sq_count_raise_body(const float *x, int64_t n, float *maxima) {
    for (int64_t i = 0; i < n; i++) {
        const float magnitude = fabsf(x[i]);
        maxima[i] = magnitude > maxima[i] ? magnitude : maxima[i];
    }
}

/* Bins of at most SQ_COUNT_BLOCK values, less `first`. x * factor may underflow to 0, so what lies below the integer
 * toward 0 is found by going back: that product is exact. */
SQ_COUNT_INLINE void sq_count_places_body(const float *x, int64_t n, float factor, float width, int32_t first,
                                          int32_t *places) {
    for (int64_t i = 0; i < n; i++) {
        const int32_t toward_zero = (int32_t)(x[i] * factor);
        places[i] = toward_zero - (x[i] < (float)toward_zero * width) - first;
    }
}

#define SQ_ENDS (x, n, lo, hi)
#define SQ_RAISE (x, n, maxima)
#define SQ_PLACES (x, n, factor, width, first, places)
static void sq_count_ends_scalar(const float *x, int64_t n, int32_t *lo, int32_t *hi) { sq_count_ends_body SQ_ENDS; }
SQ_COUNT_AVX2 static void sq_count_ends_avx2(const float *x, int64_t n, int32_t *lo, int32_t *hi) {
    sq_count_ends_body SQ_ENDS;
}
static void sq_count_raise_scalar(const float *x, int64_t n, float *maxima) { sq_count_raise_body SQ_RAISE; }
SQ_COUNT_AVX2 static void sq_count_raise_avx2(const float *x, int64_t n, float *maxima) { sq_count_raise_body SQ_RAISE; }
static void sq_count_places_scalar(const float *x, int64_t n, float factor, float width, int32_t first,
                                   int32_t *places) {
    sq_count_places_body SQ_PLACES;
}
SQ_COUNT_AVX2 static void sq_count_places_avx2(const float *x, int64_t n, float factor, float width, int32_t first,
                                               int32_t *places) {
    sq_count_places_body SQ_PLACES;
}

static double sq_count_place(double factor, float x) { return floor((double)x * factor); }

/* ---- a chunk ---- */

static void sq_count_widen(sq_count_tally *t, int32_t lo, int32_t hi) {
    if (lo < t->lo) t->lo = lo;
    if (hi > t->hi) t->hi = hi;
}

static void sq_count_raise_one(const sq_count_job *job, sq_count_tally *t, int64_t at, float magnitude) {
    if (job->channels == 0) return;
    float *maximum = &t->maxima[at / job->inner % job->channels];
    if (magnitude > *maximum) *maximum = magnitude;
}

/* Channel by channel, where a channel's values lie together. */
static void sq_count_measure_planes(const sq_count_job *job, sq_count_tally *t, int64_t begin, int64_t end, int32_t *lo,
                                    int32_t *hi) {
    *lo = INT32_MAX, *hi = INT32_MIN;
    for (int64_t at = begin; at < end;) {
        const int64_t behind = (at / job->inner + 1) * job->inner, n = (behind < end ? behind : end) - at;
        int32_t least, most;
        (job->avx2 ? sq_count_ends_avx2 : sq_count_ends_scalar)(job->x + at, n, &least, &most);
        if (least < *lo) *lo = least;
        if (most > *hi) *hi = most;
        const float low = -sq_of_ordered(least), high = sq_of_ordered(most);
        if (least >= -SQ_LARGEST_ORDERED - 1 && most <= SQ_LARGEST_ORDERED)
            sq_count_raise_one(job, t, at, low > high ? low : high);
        at += n;
    }
}

/* One value a channel: rows of all channels. */
static void sq_count_raise_rows(const sq_count_job *job, sq_count_tally *t, int64_t begin, int64_t end) {
    for (int64_t at = begin; at < end;) {
        const int64_t channel = at % job->channels, left = job->channels - channel;
        const int64_t n = left < end - at ? left : end - at;
        (job->avx2 ? sq_count_raise_avx2 : sq_count_raise_scalar)(job->x + at, n, t->maxima + channel);
        at += n;
    }
}

/* Values one by one, those that are not finite apart. */
static void sq_count_measure_holed(const sq_count_job *job, sq_count_tally *t, int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) {
        const float x = job->x[i];
        if (!isfinite(x)) {
            t->not_finite++;
            continue;
        }
        int32_t bits;
        memcpy(&bits, &x, sizeof bits);
        sq_count_widen(t, sq_ordered(bits), sq_ordered(bits));
        sq_count_raise_one(job, t, i, fabsf(x));
    }
}

static int sq_count_measure(const sq_count_job *job, sq_count_tally *t, int64_t begin, int64_t end) {
    const int by_plane = job->channels > 0 && job->inner > 1;
    int32_t lo, hi;
    if (by_plane)
        sq_count_measure_planes(job, t, begin, end, &lo, &hi);
    else
        (job->avx2 ? sq_count_ends_avx2 : sq_count_ends_scalar)(job->x + begin, end - begin, &lo, &hi);
    if (lo < -SQ_LARGEST_ORDERED - 1 || hi > SQ_LARGEST_ORDERED) {
        sq_count_measure_holed(job, t, begin, end);
        return SQ_COUNT_HOLED;
    }
    if (job->channels > 0 && !by_plane) sq_count_raise_rows(job, t, begin, end);
    sq_count_widen(t, lo, hi);
    const double low = sq_count_place(job->factor, sq_of_ordered(lo)) - job->first;
    const double high = sq_count_place(job->factor, sq_of_ordered(hi)) - job->first;
    return low >= 0 && high < job->bins ? SQ_COUNT_DONE : SQ_COUNT_MEASURED;
}

/* Values whose factor no float holds, and those of a holed chunk. */
static void sq_count_slowly(const sq_count_job *job, sq_count_tally *t, int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++)
        if (isfinite(job->x[i])) t->tables[(int32_t)sq_count_place(job->factor, job->x[i]) - job->first]++;
}

static void sq_count_quickly(const sq_count_job *job, sq_count_tally *t, int64_t begin, int64_t end) {
    uint32_t *a = t->tables, *b = a + job->bins, *c = b + job->bins, *d = c + job->bins;
    int32_t places[SQ_COUNT_BLOCK];
    for (int64_t at = begin; at < end; at += SQ_COUNT_BLOCK) {
        const int64_t n = end - at < SQ_COUNT_BLOCK ? end - at : SQ_COUNT_BLOCK;
        (job->avx2 ? sq_count_places_avx2 : sq_count_places_scalar)(job->x + at, n, (float)job->factor,
                                                                    (float)job->width, job->first, places);
        int64_t i = 0;
        for (; i + SQ_COUNT_TABLES <= n; i += SQ_COUNT_TABLES) {
            a[places[i]]++;
            b[places[i + 1]]++;
            c[places[i + 2]]++;
            d[places[i + 3]]++;
        }
        for (; i < n; i++) a[places[i]]++;
    }
}

/* ---- a thread's part: chunks begin..end - 1 ---- */

static void sq_count_chunks(const sq_count_job *job, sq_count_tally *t, int64_t begin, int64_t end) {
    const int quick = job->factor >= 0x1p-126 && job->factor <= 0x1p126;
    for (int64_t chunk = begin; chunk < end; chunk++) {
        const int64_t from = chunk * SQ_COUNT_CHUNK, left = job->size - from;
        const int64_t to = from + (left < SQ_COUNT_CHUNK ? left : SQ_COUNT_CHUNK);
        int state = job->state[chunk];
        if (state == SQ_COUNT_DONE) continue;
        const int counts_now = state != SQ_COUNT_PENDING;
        if (!counts_now) state = sq_count_measure(job, t, from, to);
        if (!counts_now && state != SQ_COUNT_DONE) {
            job->state[chunk] = (uint8_t)state;
            t->pending++;
            continue;
        }
        if (quick && state != SQ_COUNT_HOLED)
            sq_count_quickly(job, t, from, to);
        else
            sq_count_slowly(job, t, from, to);
        job->state[chunk] = SQ_COUNT_DONE;
    }
}

#endif
