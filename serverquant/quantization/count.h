/* One pass over the values of a blob: smallest and largest, the largest magnitude of every channel, and counts in bins of
 * width 2^e.
 *
 * Values are taken in chunks that stay in the first-level cache: a chunk is scanned, which gives its ends and the bin of
 * each value, and counted if the bins hold all of it. What they do not hold is left pending; the caller makes more bins,
 * or wider ones, and passes again over that.
 *
 * Counting takes a value at a time, whatever the instruction set. So zeros, half of what is behind a Relu, are counted by
 * the scan, and the scan asks for the next chunk ahead, whose way from the outer caches is then not waited for.
 */
#ifndef SERVERQUANT_COUNT_H
#define SERVERQUANT_COUNT_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "../_base/isa.h"
#include "serverquant/simd.h"

#pragma GCC optimize("O3")

#define SQ_COUNT_CHUNK 2048
#define SQ_COUNT_TABLES 4 /* neighbours are often equal: one table would wait for its own last store */
#define SQ_COUNT_SLACK 16 /* places behind the last that a scan may write */

enum { SQ_COUNT_DONE = 0, SQ_COUNT_PENDING = 1, SQ_COUNT_SCANNED = 2, SQ_COUNT_HOLED = 3 };

/* What a scan finds. lo, hi: smallest and largest value; of either sign where they are 0, of no meaning where not all are
 * finite. holed: whether one is infinite or NaN. */
typedef struct sq_count_ends {
    float lo, hi;
    int holed;
} sq_count_ends;

/* The bins are numbers first..first + bins - 1, that of x is floor(v * factor), v = min(max(x, bottom), top), bottom 0 or
 * -inf. width: 2^e, factor: 2^-e. */
typedef struct sq_count_bins {
    double factor, width;
    int32_t first, bins;
    float bottom, top;
} sq_count_bins;

/* The ends of n values x, 1 or more. places: NULL, or [n + SQ_COUNT_SLACK], which gets the numbers, less `first`, of the
 * bins of all v but zeros, in order; anything for one that the bins do not hold. Returns how many those are. The factor must
 * be a float that is not subnormal. */
typedef int64_t (*sq_count_scan_fn)(const float *x, int64_t n, const sq_count_bins *bins, uint32_t *places,
                                    sq_count_ends *ends);

/* x: [size / (channels * inner)][channels][inner]; channels is 0 where no maxima are wanted. clamps: whether v is
 * another than x, and its maxima are wanted too. state: of each chunk, one of the above; scanned and holed (by a NaN or an
 * infinity) chunks are still to be counted. */
typedef struct sq_count_job {
    const float *x;
    int64_t size, channels, inner;
    sq_count_bins bins;
    int clamps;
    uint8_t *state;
    sq_count_scan_fn scan;
} sq_count_job;

/* Of one thread. lo, hi: of finite x. maxima: [channels], magnitudes; with clamps another so many, those of v. tables:
 * SQ_COUNT_TABLES of `bins` counts. */
typedef struct sq_count_tally {
    float lo, hi;
    int64_t not_finite, pending;
    float *maxima;
    uint32_t *tables;
} sq_count_tally;

/* ---- scans: the same numbers from every one ---- */

/* Floats as integers of the same order, and back. */
SQ_INLINE int32_t sq_ordered(int32_t bits) { return bits ^ (bits >> 31 & 0x7fffffff); }

SQ_INLINE float sq_of_ordered(int32_t ordered) {
    const int32_t bits = sq_ordered(ordered);
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

#define SQ_LARGEST_ORDERED 0x7f7fffff /* FLT_MAX; its negative is one below minus this */

SQ_INLINE float sq_count_clamped(float x, const sq_count_bins *bins) {
    const float v = x > bins->bottom ? x : bins->bottom;
    return v < bins->top ? v : bins->top;
}

/* x * factor may underflow to 0, so what lies below the integer toward 0 is found by going back: that product is exact. */
SQ_INLINE int32_t sq_count_place_of(float x, const sq_count_bins *bins) {
    const int32_t toward_zero = (int32_t)(x * (float)bins->factor);
    return toward_zero - (x < (float)toward_zero * (float)bins->width) - bins->first;
}

static int64_t sq_count_scan_scalar(const float *x, int64_t n, const sq_count_bins *bins, uint32_t *places,
                                    sq_count_ends *ends) {
    int32_t least = INT32_MAX, most = INT32_MIN;
    for (int64_t i = 0; i < n; i++) {
        int32_t bits;
        memcpy(&bits, x + i, sizeof bits);
        const int32_t ordered = sq_ordered(bits);
        least = ordered < least ? ordered : least;
        most = ordered > most ? ordered : most;
    }
    ends->lo = sq_of_ordered(least), ends->hi = sq_of_ordered(most);
    ends->holed = least < -SQ_LARGEST_ORDERED - 1 || most > SQ_LARGEST_ORDERED;
    int64_t kept = 0;
    if (places && !ends->holed)
        for (int64_t i = 0; i < n; i++) {
            const float v = sq_count_clamped(x[i], bins);
            places[kept] = (uint32_t)sq_count_place_of(v, bins);
            kept += v != 0;
        }
    return kept;
}

#if SQ_X86
#include "count_avx2.h"
#include "count_avx512vnni.h"
#endif

/* level: of _base/isa.h. */
static sq_count_scan_fn sq_count_scan_for(int level) {
#if SQ_X86
    if (level >= SQ_ISA_AVX512VNNI) return sq_count_scan_avx512vnni;
    if (level >= SQ_ISA_AVX2) return sq_count_scan_avx2;
#endif
    return sq_count_scan_scalar;
}

/* ---- a chunk ---- */

static double sq_count_place(const sq_count_bins *bins, float x) {
    return floor((double)sq_count_clamped(x, bins) * bins->factor) - bins->first;
}

static void sq_count_widen(sq_count_tally *t, float lo, float hi) {
    if (lo < t->lo) t->lo = lo;
    if (hi > t->hi) t->hi = hi;
}

static void sq_count_raise_one(const sq_count_job *job, sq_count_tally *t, int64_t at, float magnitude) {
    if (job->channels == 0) return;
    float *maximum = &t->maxima[at / job->inner % job->channels];
    if (magnitude > *maximum) *maximum = magnitude;
}

/* That of v, which is not negative, of a channel. */
static void sq_count_raise_clamped(const sq_count_job *job, sq_count_tally *t, int64_t channel, float x) {
    const float v = sq_count_clamped(x, &job->bins);
    if (v > t->maxima[job->channels + channel]) t->maxima[job->channels + channel] = v;
}

/* Channel by channel, where a channel's values lie together. */
static int64_t sq_count_scan_planes(const sq_count_job *job, sq_count_tally *t, int64_t begin, int64_t end,
                                    uint32_t *places, sq_count_ends *ends) {
    int64_t kept = 0;
    *ends = (sq_count_ends){INFINITY, -INFINITY, 0};
    for (int64_t at = begin; at < end;) {
        const int64_t behind = (at / job->inner + 1) * job->inner, n = (behind < end ? behind : end) - at;
        sq_count_ends of;
        kept += job->scan(job->x + at, n, &job->bins, places ? places + kept : NULL, &of);
        if (of.lo < ends->lo) ends->lo = of.lo;
        if (of.hi > ends->hi) ends->hi = of.hi;
        ends->holed |= of.holed;
        if (!of.holed) {
            sq_count_raise_one(job, t, at, -of.lo > of.hi ? -of.lo : of.hi);
            if (job->clamps) sq_count_raise_clamped(job, t, at / job->inner % job->channels, of.hi);
        }
        at += n;
    }
    return kept;
}

/* One value a channel: rows of all channels. */
static void sq_count_raise_rows(const sq_count_job *job, sq_count_tally *t, int64_t begin, int64_t end) {
    for (int64_t at = begin; at < end;) {
        const int64_t channel = at % job->channels, left = job->channels - channel;
        const int64_t n = left < end - at ? left : end - at;
        const float *x = job->x + at;
        float *maxima = t->maxima + channel;
        for (int64_t i = 0; i < n; i++) {
            const float magnitude = fabsf(x[i]);
            maxima[i] = magnitude > maxima[i] ? magnitude : maxima[i];
        }
        for (int64_t i = 0; i < n && job->clamps; i++) sq_count_raise_clamped(job, t, channel + i, x[i]);
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
        sq_count_widen(t, x, x);
        sq_count_raise_one(job, t, i, fabsf(x));
    }
}

/* The chunk's places, if a scan can give them, how many, and whether they are right. A first scan takes note of ends. */
static int sq_count_scan_chunk(const sq_count_job *job, sq_count_tally *t, int64_t begin, int64_t end, uint32_t *places,
                               int64_t *kept) {
    const int by_plane = job->channels > 0 && job->inner > 1;
    sq_count_ends ends;
    *kept = by_plane ? sq_count_scan_planes(job, t, begin, end, places, &ends)
                     : job->scan(job->x + begin, end - begin, &job->bins, places, &ends);
    if (ends.holed) {
        sq_count_measure_holed(job, t, begin, end);
        return SQ_COUNT_HOLED;
    }
    if (job->channels > 0 && !by_plane) sq_count_raise_rows(job, t, begin, end);
    sq_count_widen(t, ends.lo, ends.hi);
    const int held = sq_count_place(&job->bins, ends.lo) >= 0 && sq_count_place(&job->bins, ends.hi) < job->bins.bins;
    return held ? SQ_COUNT_DONE : SQ_COUNT_SCANNED;
}

/* Values whose factor no float holds, and those of a holed chunk. */
static void sq_count_slowly(const sq_count_job *job, sq_count_tally *t, int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++)
        if (isfinite(job->x[i])) t->tables[(int32_t)sq_count_place(&job->bins, job->x[i])]++;
}

static void sq_count_quickly(const sq_count_job *job, sq_count_tally *t, const uint32_t *places, int64_t n,
                             int64_t zeros) {
    uint32_t *a = t->tables, *b = a + job->bins.bins, *c = b + job->bins.bins, *d = c + job->bins.bins;
    int64_t i = 0;
    for (; i + SQ_COUNT_TABLES <= n; i += SQ_COUNT_TABLES) {
        a[places[i]]++;
        b[places[i + 1]]++;
        c[places[i + 2]]++;
        d[places[i + 3]]++;
    }
    for (; i < n; i++) a[places[i]]++;
    a[-job->bins.first] += (uint32_t)zeros;
}

/* ---- a thread's part: chunks begin..end - 1 ---- */

static void sq_count_chunks(const sq_count_job *job, sq_count_tally *t, int64_t begin, int64_t end) {
    const int quick = job->bins.bins && job->bins.factor >= 0x1p-126 && job->bins.factor <= 0x1p126;
    uint32_t places[SQ_COUNT_CHUNK + SQ_COUNT_SLACK];
    for (int64_t chunk = begin; chunk < end; chunk++) {
        const int64_t from = chunk * SQ_COUNT_CHUNK, left = job->size - from;
        const int64_t to = from + (left < SQ_COUNT_CHUNK ? left : SQ_COUNT_CHUNK);
        const int before = job->state[chunk];
        if (before == SQ_COUNT_DONE) continue;
        int64_t kept = 0;
        int state = before;
        if (before == SQ_COUNT_PENDING || (quick && before == SQ_COUNT_SCANNED))
            state = sq_count_scan_chunk(job, t, from, to, quick ? places : NULL, &kept);
        if (before == SQ_COUNT_PENDING && state != SQ_COUNT_DONE) {
            job->state[chunk] = (uint8_t)state;
            t->pending++;
            continue;
        }
        if (quick && state != SQ_COUNT_HOLED)
            sq_count_quickly(job, t, places, kept, to - from - kept);
        else
            sq_count_slowly(job, t, from, to);
        job->state[chunk] = SQ_COUNT_DONE;
    }
}

#endif
