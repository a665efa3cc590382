/* Bytes through a table: y[i] = table[x[i]]. Items are bytes; y may be x. */
#ifndef SERVERQUANT_LUT_H
#define SERVERQUANT_LUT_H

#include <stdint.h>

#include "serverquant/rows.h"

typedef struct {
    const uint8_t* x;
    uint8_t* y;
    const uint8_t* table;      /* 256 entries */
} sq_lut_job;

extern const sq_row sq_lut_rows[];
extern const int sq_lut_row_count;

#endif
