/* Small helpers of the three forms. */
#ifndef SERVERQUANT_CONV_F32_SHARE_H
#define SERVERQUANT_CONV_F32_SHARE_H

#include "conv_f32.h"

static inline int64_t sq_conv_ceil(int64_t a, int64_t b) { return (a + b - 1) / b; }
static inline int64_t sq_conv_align(int64_t bytes) { return sq_f32_round_up(bytes, 64); }

/* Item where share `s` of `team` begins. */
static inline int64_t sq_conv_share(int64_t items, int64_t s, int64_t team) { return items * s / team; }

#endif
