/* Range search and quantization of float arrays: the formulas, once, compiled for the baseline and for AVX2 + FMA.
 *
 * Every body gives the same bits however it is compiled: fmaf rounds once wherever it runs, the other expressions are
 * never fused (-ffp-contract=off), and minima and maxima do not depend on the order of the lanes.
 */
#ifndef SERVERQUANT_QPARAMS_QUANTIZE_H
#define SERVERQUANT_QPARAMS_QUANTIZE_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>

#include "serverquant/simd.h"

#pragma GCC optimize("O3") /* plain loops that the compiler turns into vectors */

#define SQ_LANES 8 /* part of the definition: see NaN below */

/* lo, hi = smallest and largest of x[0..n), n > 0.
 * A NaN is passed over, but as Caffe2 keeps eight minima over whole blocks of eight, it also makes its lane forget what
 * came before (a comparison with NaN takes the second operand, the newer value). A NaN in x[0] stays. */
SQ_INLINE void sq_find_min_max_body(const float *x, ptrdiff_t n, float *lo, float *hi) {
    float low[SQ_LANES], high[SQ_LANES], least = x[0], most = x[0];
    ptrdiff_t i = 0;
    for (int j = 0; j < SQ_LANES; j++) low[j] = high[j] = x[0];
    for (; i + SQ_LANES <= n; i += SQ_LANES) {
        for (int j = 0; j < SQ_LANES; j++) {
            low[j] = low[j] < x[i + j] ? low[j] : x[i + j];
            high[j] = high[j] > x[i + j] ? high[j] : x[i + j];
        }
    }
    for (int j = 0; j < SQ_LANES; j++) {
        least = low[j] < least ? low[j] : least;
        most = high[j] > most ? high[j] : most;
    }
    for (; i < n; i++) {
        least = x[i] < least ? x[i] : least;
        most = x[i] > most ? x[i] : most;
    }
    *lo = least;
    *hi = most;
}

/* 8 bits: y = clamp(rne(fma(x, inv, z)), lo, hi). Clamping first is the same, since lo and hi are whole numbers, and
 * lets NaN fall to hi. y holds the low byte: signed when lo is -128. */
SQ_INLINE void sq_quantize_8_body(const float *x, uint8_t *y, ptrdiff_t n, float inv, float z, float lo, float hi) {
    for (ptrdiff_t i = 0; i < n; i++) {
        float t = fmaf(x[i], inv, z);
        t = t < hi ? t : hi;
        t = t > lo ? t : lo;
        y[i] = (uint8_t)(int32_t)rintf(t);
    }
}

/* Other widths: y = clamp(rne(f32(f32(x * inv) + z)), lo, hi); NaN gives 0. T takes the low bits. */
#define SQ_QUANTIZE_WIDE_BODY(NAME, T)                                                                                 \
    SQ_INLINE void NAME(const float *x, T *y, ptrdiff_t n, float inv, float z, float lo, float hi) {                   \
        for (ptrdiff_t i = 0; i < n; i++) {                                                                            \
            float product = x[i] * inv;                                                                                \
            float t = product + z;                                                                                     \
            t = t == t ? t : 0.0f;                                                                                     \
            t = t < hi ? t : hi;                                                                                       \
            t = t > lo ? t : lo;                                                                                       \
            y[i] = (T)(int32_t)rintf(t);                                                                               \
        }                                                                                                              \
    }
SQ_QUANTIZE_WIDE_BODY(sq_quantize_wide8_body, uint8_t)
SQ_QUANTIZE_WIDE_BODY(sq_quantize_wide16_body, uint16_t)

/* int32 bias: y = rne(f32(b * inv)); what does not fit into int32, on either side, and NaN give -2^31. */
static inline void sq_quantize_bias(const float *b, int32_t *y, ptrdiff_t n, float inv) {
    for (ptrdiff_t i = 0; i < n; i++) {
        float t = rintf(b[i] * inv);
        y[i] = t >= -2147483648.0f && t < 2147483648.0f ? (int32_t)t : INT32_MIN;
    }
}

/* An attribute, since pragma brackets cannot stand inside a macro. */
#if SQ_X86 && !defined(SQ_EMULATE)
#define SQ_AVX2_CODE __attribute__((target("avx2,fma")))
#else
#define SQ_AVX2_CODE
#endif

/* NAME(avx2, parameters): the body, compiled for AVX2 + FMA where `avx2` says that the machine may run it. CALL repeats
 * the parameters' names. */
#define SQ_TWO_BUILDS(NAME, CALL, ...)                                                                                 \
    static void NAME##_scalar(__VA_ARGS__) { NAME##_body CALL; }                                                       \
    SQ_AVX2_CODE static void NAME##_avx2(__VA_ARGS__) { NAME##_body CALL; }                                            \
    static inline void NAME(int avx2, __VA_ARGS__) { (avx2 ? NAME##_avx2 : NAME##_scalar) CALL; }
#define SQ_QUANTIZE_PARAMETERS(T) const float *x, T *y, ptrdiff_t n, float inv, float z, float lo, float hi

SQ_TWO_BUILDS(sq_find_min_max, (x, n, lo, hi), const float *x, ptrdiff_t n, float *lo, float *hi)
SQ_TWO_BUILDS(sq_quantize_8, (x, y, n, inv, z, lo, hi), SQ_QUANTIZE_PARAMETERS(uint8_t))
SQ_TWO_BUILDS(sq_quantize_wide8, (x, y, n, inv, z, lo, hi), SQ_QUANTIZE_PARAMETERS(uint8_t))
SQ_TWO_BUILDS(sq_quantize_wide16, (x, y, n, inv, z, lo, hi), SQ_QUANTIZE_PARAMETERS(uint16_t))

#endif
