/* One include for every file with vector code: intrinsics, target brackets, and the emulated build.
 *
 * Usage in <isa>.h:
 *     SQ_TARGET_AVX2_BEGIN
 *     static void kernel_avx2(...) { ... }
 *     SQ_TARGET_END
 * Nothing shared with other instruction sets may stand inside a bracket: an inline helper compiled there becomes an
 * illegal instruction on an older CPU.
 *
 * With SQ_EMULATE (tests on a machine that lacks an instruction set) the same sources compile against simde.
 */
#ifndef SERVERQUANT_SIMD_H
#define SERVERQUANT_SIMD_H

#if defined(SQ_EMULATE)
#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx2.h>
#include <simde/x86/fma.h>
#include <simde/x86/f16c.h>
#include <simde/x86/avx512.h>
#include "serverquant/simd_emulated.h"
#define SQ_X86 1
#define SQ_TARGET_AVX2_BEGIN
#define SQ_TARGET_AVX512VNNI_BEGIN
#define SQ_TARGET_END
#elif defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#define SQ_X86 1
#define SQ_TARGET_AVX2_BEGIN _Pragma("GCC push_options") _Pragma("GCC target(\"avx2,fma,f16c\")")
#define SQ_TARGET_AVX512VNNI_BEGIN \
    _Pragma("GCC push_options") \
    _Pragma("GCC target(\"avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni\")")
#define SQ_TARGET_END _Pragma("GCC pop_options")
#else
#define SQ_X86 0
#endif

/* Definitions of one element are inlined into the loops of every instruction set; helpers inside a bracket are inlined
 * so that vectors stay in registers. */
#if defined(SQ_EMULATE)
#define SQ_INLINE static __attribute__((noinline)) /* of emulated intrinsics, inlined bodies take minutes to compile */
#else
#define SQ_INLINE static inline __attribute__((always_inline))
#endif

#endif
