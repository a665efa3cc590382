/* Softmax of rows. Items are rows of d floats; y may be x.
 *
 *   softmax_f32   m = largest of the row, NaN passed over; e[i] = exp(f32(x[i] - m)), our own exponential (elementary.h);
 *                 sixteen partial sums: number k adds e[k], e[k+16], e[k+32], ... in that order; they are combined
 *                 by halves: k with k+8, then k+4, k+2, k+1; y[i] = f32(e[i] / sum).
 *   softmax_u8    the mobile set's: t[i] = table[x[i] + 255 - largest of the row], y[i] = min(255, (256 * t[i] + h) / s)
 *                 with s = sum of t modulo 2^32 and h = s / 2, whole numbers
 *   A row with NaN or +inf, or of -inf alone, becomes all NaN.
 */
#ifndef SERVERQUANT_SOFTMAX_H
#define SERVERQUANT_SOFTMAX_H

#include <stdint.h>

#include "serverquant/rows.h"

/* Partial sums of a row. Where d is less, as many rows are taken at once: ranges then begin at multiples of it. */
enum { SQ_SOFTMAX_LANES = 16 };

typedef struct {
    const float* x;
    float* y;
    long long d;       /* > 0; floats of a row */
} sq_softmax_job;

typedef struct {
    const uint8_t* x;
    uint8_t* y;
    const uint32_t* table;     /* 256 entries, the last one > 0; d times the largest fits 32 bits */
    long long d;               /* > 0; bytes of a row */
} sq_softmax_u8_job;

extern const sq_row sq_softmax_rows[];
extern const int sq_softmax_row_count;

#endif
