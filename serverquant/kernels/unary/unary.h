/* One input, one output, element by element. Items are elements; y may be x.
 *
 *   relu_f32   x < 0 ? 0 : x, so that -0.0 and NaN stay
 *   clip_f32   x < lo ? lo : x, then > hi ? hi: NaN stays; hi wins where lo > hi
 *   relu_u8    max(x, zero point)
 */
#ifndef SERVERQUANT_UNARY_H
#define SERVERQUANT_UNARY_H

#include <stdint.h>

#include "serverquant/rows.h"

typedef struct {
    const float* x;
    float* y;
    float lo, hi;      /* of clip */
} sq_unary_job;

typedef struct {
    const uint8_t* x;
    uint8_t* y;
    int32_t zero_point;
} sq_relu_u8_job;

extern const sq_row sq_unary_rows[];
extern const int sq_unary_row_count;

#endif
