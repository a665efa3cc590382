/* Half precision to and from single: serverquant/half.h has the definition. Items are elements; no overlap. */
#ifndef SERVERQUANT_KERNELS_HALF_H
#define SERVERQUANT_KERNELS_HALF_H

#include "serverquant/half.h"

typedef struct {
    const void* x;     /* the type that the op is named for */
    void* y;
} sq_half_job;

extern const sq_row sq_half_rows[];
extern const int sq_half_row_count;

#endif
