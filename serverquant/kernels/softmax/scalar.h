/* Softmax of bytes; the exponential of floats is in elementary.h. */
#ifndef SERVERQUANT_SOFTMAX_SCALAR_H
#define SERVERQUANT_SOFTMAX_SCALAR_H

#include <stdint.h>

#include "serverquant/elementary.h"

/* One division a byte costs more than all the rest, so there is one row for all instruction sets. */
static void sq_softmax_u8_scalar(const void* job, long long begin, long long end) {
    const sq_softmax_u8_job j = *(const sq_softmax_u8_job*)job;
    for (long long row = begin; row < end; row++) {
        const uint8_t* x = j.x + row * j.d;
        uint8_t* y = j.y + row * j.d;
        uint8_t largest = 0;
        for (long long i = 0; i < j.d; i++) largest = x[i] > largest ? x[i] : largest;
        const uint32_t* table = j.table + 255 - largest;
        uint32_t sum = 0;
        for (long long i = 0; i < j.d; i++) sum += table[x[i]];
        for (long long i = 0; i < j.d; i++) {
            const uint32_t q = (uint32_t)((256ull * table[x[i]] + sum / 2) / sum);
            y[i] = q > 255 ? 255 : (uint8_t)q;
        }
    }
}

#endif
