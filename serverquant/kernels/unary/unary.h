/* One input, one output, element by element: y[i] = f(x[i]); y may be x where both have one type. Items are elements.
 *
 * maps.inc says what f is, for every map and data type; a and b are its parameters. relu_u8: max(x, zero point).
 */
#ifndef SERVERQUANT_UNARY_H
#define SERVERQUANT_UNARY_H

#include <stdint.h>

#include "serverquant/rows.h"

typedef struct {
    const void* x;
    void* y;
    float a, b;
    int64_t n; /* of mod */
    int32_t flag;
} sq_unary_job;

typedef struct {
    const uint8_t* x;
    uint8_t* y;
    int32_t zero_point;
} sq_relu_u8_job;

extern const sq_row sq_unary_rows[];
extern const int sq_unary_row_count;

#endif
