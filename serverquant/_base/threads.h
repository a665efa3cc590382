/* Threads that share the work of one operator: the one door to OpenMP. A build without it has none. */
#ifndef SERVERQUANT_THREADS_H
#define SERVERQUANT_THREADS_H

#include "serverquant/simd.h"

/* A piece of a job: items begin <= i < end. */
typedef void (*sq_range_fn)(const void* job, long long begin, long long end);

/* Runs `fn` over 0..count in `team` pieces, whose inner borders are multiples of `align`: piece i on thread i, 0 being
 * the caller's, so that what a piece wrote lies in the cache of the thread that reads the same place next. Pieces that
 * no worker has begun when the caller is through with its own are the caller's too: it never waits for a thread to
 * wake. */
void sq_parallel_range(sq_range_fn fn, const void* job, long long count, long long align, int team);

/* What starts workers, on a thread made for that: it runs sq_serve(team, i) for begin <= i < end, each on a thread of
 * its own, and returns when all of these have. Until it is set, everything runs on the caller's thread. */
typedef struct sq_team sq_team;
typedef void (*sq_host_fn)(sq_team* team, int begin, int end);
void sq_set_host(sq_host_fn host);
void sq_serve(sq_team* team, int at);

/* The date of the OpenMP that this was compiled with, 0 without; whether the calling thread runs a piece; whether a
 * worker looks out for the next one, so that a small piece pays. */
int sq_openmp(void);
int sq_in_parallel(void);
int sq_workers_awake(void);

/* Rounding to nearest, no flushing of denormals: somebody's setting must not change our bits. */
#if SQ_X86 && !defined(SQ_EMULATE)
static inline unsigned sq_fp_default(void) {
    unsigned before = _mm_getcsr();
    if ((before & 0xFFC0u) != 0x1F80u) _mm_setcsr(0x1F80u);
    return before;
}
static inline void sq_fp_restore(unsigned before) {
    if ((before & 0xFFC0u) != 0x1F80u) _mm_setcsr(before);
}
#else
static inline unsigned sq_fp_default(void) { return 0; }
static inline void sq_fp_restore(unsigned before) { (void)before; }
#endif

#endif
