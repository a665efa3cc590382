/* OpenMP behind one header, so that a build without it compiles too. */
#ifndef SERVERQUANT_THREADS_H
#define SERVERQUANT_THREADS_H

#include "serverquant/simd.h"

#ifdef _OPENMP
#include <omp.h>
static int sq_openmp(void) { return _OPENMP; }
/* A forked child would wait for ever for its parent's workers; soft pause lets both start their teams anew. */
static void sq_pause(void) { omp_pause_resource_all(omp_pause_soft); }
static int sq_in_parallel(void) { return omp_in_parallel(); }
#else
static int sq_openmp(void) { return 0; }
static void sq_pause(void) {}
static int sq_in_parallel(void) { return 0; }
#endif

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
