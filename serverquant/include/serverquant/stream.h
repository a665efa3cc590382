/* Outputs larger than any cache are stored past the caches, so that what was there need not be read first. */
#ifndef SERVERQUANT_STREAM_H
#define SERVERQUANT_STREAM_H

#include <stdint.h>

#include "serverquant/simd.h"

enum { SQ_STREAMED_FLOATS = 8 * 1024 * 1024 };

/* Whether an output of so many floats is, whose rows are `pitch` apart: then whole vectors stay aligned in each row. */
static inline int sq_is_streamed(const float* out, int64_t floats, int64_t pitch) {
    return SQ_X86 && floats >= SQ_STREAMED_FLOATS && pitch % 16 == 0 && (uintptr_t)out % 64 == 0;
}

/* `to`: a multiple of 16 bytes. */
static inline void sq_copy_streamed(float* to, const float* from, int64_t n) {
    int64_t i = 0;
#if SQ_X86
    for (; i + 4 <= n; i += 4) _mm_stream_ps(to + i, _mm_loadu_ps(from + i));
#endif
    for (; i < n; i++) to[i] = from[i];
}

/* Another thread sees what this one has streamed only after this. */
static inline void sq_stream_end(void) {
#if SQ_X86
    _mm_sfence();
#endif
}

#endif
