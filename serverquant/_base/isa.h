/* What this CPU and its operating system can run. */
#ifndef SERVERQUANT_ISA_H
#define SERVERQUANT_ISA_H

#include "serverquant/simd.h"

/* Ordered: a higher level runs every row of the lower ones. */
enum { SQ_ISA_SCALAR = 0, SQ_ISA_AVX2 = 1, SQ_ISA_AVX512VNNI = 2, SQ_ISA_COUNT = 3 };

#if defined(SQ_EMULATE)
enum { SQ_ISA_EMULATED = 1 };
#else
enum { SQ_ISA_EMULATED = 0 };
#endif

/* gcc's run-time library asks XGETBV too, so a kernel that does not save the registers counts as not supporting them. */
static int sq_isa_detect(void) {
#if defined(SQ_EMULATE)
    return SQ_ISA_AVX512VNNI;
#elif SQ_X86
    __builtin_cpu_init();
    int avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    int vnni = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
               __builtin_cpu_supports("avx512vnni");
    return avx2 ? (vnni ? SQ_ISA_AVX512VNNI : SQ_ISA_AVX2) : SQ_ISA_SCALAR;
#else
    return SQ_ISA_SCALAR;
#endif
}

#endif
