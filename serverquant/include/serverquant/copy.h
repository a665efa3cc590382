/* Copies of a few dozen bytes, whose call of memcpy would cost more than the copy. */
#ifndef SERVERQUANT_COPY_H
#define SERVERQUANT_COPY_H

#include <stdint.h>
#include <string.h>

#include "serverquant/simd.h"

/* `n` bytes that do not overlap. Pieces overlap rather than shrink, so that nothing beyond is read or written. */
SQ_INLINE void sq_copy_short(void* to, const void* from, int64_t n) {
    char* out = (char*)to;
    const char* in = (const char*)from;
    if (n > 512) {
        memcpy(out, in, (size_t)n);
    } else if (n >= 16) {
        for (int64_t i = 0; i < n - 16; i += 16) memcpy(out + i, in + i, 16);
        memcpy(out + n - 16, in + n - 16, 16);
    } else if (n >= 8) {
        memcpy(out, in, 8);
        memcpy(out + n - 8, in + n - 8, 8);
    } else if (n >= 4) {
        memcpy(out, in, 4);
        memcpy(out + n - 4, in + n - 4, 4);
    } else {
        for (int64_t i = 0; i < n; i++) out[i] = in[i];
    }
}

#endif
