/* IEEE half precision <-> single, without intrinsics: the definition. Vector code uses F16C, which gives the same bits
 * (quiet NaNs keep their payload's upper bits in both).
 */
#ifndef SERVERQUANT_HALF_H
#define SERVERQUANT_HALF_H

#include <stdint.h>
#include <string.h>

#include "serverquant/rows.h"

SQ_INLINE float sq_from_half(uint16_t h) {
    const uint32_t sign = (uint32_t)(h & 0x8000) << 16;
    const uint32_t magnitude = h & 0x7FFF;
    float value;
    uint32_t bits;
    if (magnitude >= 0x7C00) { /* infinity, NaN (made quiet) */
        bits = sign | 0x7F800000u | (magnitude & 0x3FF) << 13 | (magnitude > 0x7C00 ? 0x400000u : 0);
    } else if (magnitude >= 0x400) {
        bits = sign | ((magnitude << 13) + (112u << 23));
    } else { /* subnormal: a whole number of 2^-24 */
        value = (float)magnitude * 0x1p-24f;
        memcpy(&bits, &value, 4);
        bits |= sign;
    }
    memcpy(&value, &bits, 4);
    return value;
}

/* Ties to even; what is too large becomes infinity. */
SQ_INLINE uint16_t sq_to_half(float value) {
    uint32_t bits;
    memcpy(&bits, &value, 4);
    const uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
    const uint32_t magnitude = bits & 0x7FFFFFFF;
    if (magnitude > 0x7F800000u) return (uint16_t)(sign | 0x7E00 | (magnitude >> 13 & 0x3FF));
    if (magnitude >= 0x477FF000u) return (uint16_t)(sign | 0x7C00); /* from 65520 on */
    if (magnitude >= 0x38800000u) { /* normal: drop 13 bits, with rounding */
        const uint32_t shifted = magnitude - (112u << 23);
        return (uint16_t)(sign | (shifted + 0xFFF + (shifted >> 13 & 1)) >> 13);
    }
    /* subnormal: adding 0.5 leaves the wanted bits, rounded, at the low end */
    float small;
    memcpy(&small, &magnitude, 4);
    small += 0.5f;
    uint32_t rounded;
    memcpy(&rounded, &small, 4);
    return (uint16_t)(sign | (rounded - 0x3F000000u));
}

#endif
