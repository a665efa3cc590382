/* The definition of the exponential. */
#ifndef SERVERQUANT_SOFTMAX_SCALAR_H
#define SERVERQUANT_SOFTMAX_SCALAR_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "serverquant/rows.h"

/* 2^n for -126 <= n <= 127. */
SQ_INLINE float sq_power_of_two(int32_t n) {
    union { uint32_t bits; float value; } u = {(uint32_t)(n + 127) << 23};
    return u.value;
}

/* e^x within 1 unit in the last place (2 where the result is subnormal); 0 below -104, inf above 89, NaN stays.
 *
 * x = n ln2 + r with n = rne(x / ln2), |r| <= 0.3471: ln2 in two parts, the first of so few bits that n times it is
 * exact. e^r = 1 + r + r^2 q(r), q of degree 4 with the smallest largest relative error on that range (2^-28). 2^n in
 * two factors, so that the ends of the range (n = 128, and subnormal results) need no branch.
 */
SQ_INLINE float sq_exp(float x) {
    x = x < -104.0f ? -104.0f : x;
    x = x > 89.0f ? 89.0f : x;
    const float n = rintf(x * 1.44269504f);
    float r = fmaf(n, -0.693359375f, x);
    r = fmaf(n, 2.12194440e-4f, r);
    float p = 0x1.6a22aap-10f;
    p = fmaf(p, r, 0x1.123adp-7f);
    p = fmaf(p, r, 0x1.5558f8p-5f);
    p = fmaf(p, r, 0x1.55549p-3f);
    p = fmaf(p, r, 0x1.fffffcp-2f);
    p = fmaf(p, r, 1.0f);
    p = fmaf(p, r, 1.0f);
    const int32_t whole = (int32_t)(x == x ? n : 0.0f);
    const int32_t half = whole >> 1;
    return p * sq_power_of_two(half) * sq_power_of_two(whole - half);
}

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
