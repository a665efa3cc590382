/* Rows quantized by parameters of their own, to and from float. Items are rows; y and x do not overlap.
 *
 *   format          row in memory                         values
 *   SQ_ROWS_U8      n bytes, f32 scale, f32 bias          8 bits
 *   SQ_ROWS_U8_HALF n bytes, f16 scale, f16 bias          8 bits
 *   SQ_ROWS_U4      n / 2 bytes, f16 scale, f16 bias      two a byte, the first in the low bits
 *   SQ_ROWS_U2      n / 4 bytes, f16 scale, f16 bias      four a byte, likewise
 *   SQ_ROWS_FAKE    n bytes, f32 scale, f32 bias          `bits` bits in a byte each, parameters as those of U4 and U2
 *   SQ_ROWS_APART   n bytes; f32 scale, f32 bias elsewhere
 *
 * quantize_rows, with min and max of the row (NaN is passed over unless first):
 *   U8:     bias = min, scale = f32(f32(max - min) / 255), q = rne(f32(f32(x - min) * f32(255 / f32(range + 1e-8))))
 *   APART:  the same scale and bias, but q = round half away(f32(f32(x - min) * f32(1 / scale))); a range below 1e-10 has
 *           scale 1 and q = 0
 *   others: bias = f16(min), scale = f16(f32(f32(max - bias) / (2^bits - 1))), 1 if max = bias, if it is 0 or has no
 *           finite inverse (FAKE: then q = 0); q = clamp(rne(f32(f32(x - bias) * f32(1 / scale))), 0, 2^bits - 1)
 *   greedy: first the range is narrowed by rowwise/scalar.h's sq_narrow_range()
 * dequantize_rows: fma(q, scale, bias); APART as f32(f32(q * scale) + bias)
 */
#ifndef SERVERQUANT_ROWWISE_H
#define SERVERQUANT_ROWWISE_H

#include <stdint.h>

#include "serverquant/rows.h"

enum { SQ_ROWS_U8, SQ_ROWS_U8_HALF, SQ_ROWS_U4, SQ_ROWS_U2, SQ_ROWS_FAKE, SQ_ROWS_APART };

typedef struct {
    const float* x;
    uint8_t* y;
    float* apart;      /* SQ_ROWS_APART: [rows][2] */
    long long n;       /* values of a row */
    int format, bits, greedy;
} sq_quantize_rows_job;

typedef struct {
    const uint8_t* x;
    const float* apart;
    float* y;
    long long n;
    int format;
} sq_dequantize_rows_job;

/* Bytes of a row of n values. */
static inline long long sq_row_bytes(int format, long long n) {
    switch (format) {
    case SQ_ROWS_U8:
    case SQ_ROWS_FAKE: return n + 8;
    case SQ_ROWS_U8_HALF: return n + 4;
    case SQ_ROWS_U4: return n / 2 + 4;
    case SQ_ROWS_U2: return n / 4 + 4;
    default: return n;
    }
}

/* Bits that a value takes in memory. */
static inline int sq_row_bits(int format) { return format == SQ_ROWS_U4 ? 4 : format == SQ_ROWS_U2 ? 2 : 8; }

extern const sq_row sq_rowwise_rows[];
extern const int sq_rowwise_row_count;

#endif
