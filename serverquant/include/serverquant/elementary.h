/* Elementary functions with the same bytes on every machine: no library is called but for correctly rounded fma, rint
 * and square roots. Written so that loops over them become vector code; what is rare works in double, which makes the
 * float result almost always the correctly rounded one. Degrees were chosen for the errors named at each function; the
 * polynomials interpolate at Chebyshev points.
 */
#ifndef SERVERQUANT_ELEMENTARY_H
#define SERVERQUANT_ELEMENTARY_H

#include <math.h>
#include <stdint.h>

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

/* tanh within 2 units in the last place: a polynomial below 0.625 (2^-27), 1 - 2/(e^2x + 1) above. */
SQ_INLINE float sq_tanh(float x) {
    const float a = fabsf(x), z = x * x;
    float p = 0x1.2c29b6p-9f;
    p = fmaf(p, z, -0x1.1151cep-7f);
    p = fmaf(p, z, 0x1.64a4b2p-6f);
    p = fmaf(p, z, -0x1.ba085cp-5f);
    p = fmaf(p, z, 0x1.1110e8p-3f);
    p = fmaf(p, z, -0x1.555556p-2f);
    const float near_zero = fmaf(p * z, a, a), far = 1.0f - 2.0f / (sq_exp(a + a) + 1.0f);
    return copysignf(a < 0.625f ? near_zero : far, x);
}

/* erf within 2 units in the last place: a polynomial below 1, 1 - e^-q(x) above; 1 from 4 on. */
SQ_INLINE float sq_erf(float x) {
    const float a = fabsf(x), z = x * x;
    float p = -0x1.4439fcp-17f;
    p = fmaf(p, z, 0x1.d875ccp-14f);
    p = fmaf(p, z, -0x1.bccc1cp-11f);
    p = fmaf(p, z, 0x1.562a10p-8f);
    p = fmaf(p, z, -0x1.b829c0p-6f);
    p = fmaf(p, z, 0x1.ce2f08p-4f);
    p = fmaf(p, z, -0x1.812746p-2f);
    p = fmaf(p, z, 0x1.06eba8p-3f);
    const float t = a < 4.0f ? a : 4.0f;
    float q = -0x1.b77830p-20f;
    q = fmaf(q, t, 0x1.825ce4p-15f);
    q = fmaf(q, t, -0x1.38e5e6p-11f);
    q = fmaf(q, t, 0x1.37ecc6p-8f);
    q = fmaf(q, t, -0x1.b0e246p-6f);
    q = fmaf(q, t, 0x1.c2e356p-4f);
    q = fmaf(q, t, 0x1.437eb4p-1f);
    q = fmaf(q, t, 0x1.2156fap+0f);
    q = fmaf(q, t, -0x1.4fb068p-12f);
    const float far = copysignf(1.0f - sq_exp(-q), x);
    return a >= 1.0f ? far : fmaf(p, x, x);
}

/* ---- in double -------------------------------------------------------------------------------------------------- */

SQ_INLINE uint64_t sq_bits(double x) {
    union { double value; uint64_t bits; } u = {x};
    return u.bits;
}

SQ_INLINE double sq_of_bits(uint64_t bits) {
    union { uint64_t bits; double value; } u = {bits};
    return u.value;
}

/* Adding it leaves a whole number of less than 2^51 in the low bits, rounded half to even. */
#define SQ_WHOLE 0x1.8p52

/* 2^n for a whole -1022 <= n <= 1023. */
SQ_INLINE double sq_power_of_two_d(double n) { return sq_of_bits(sq_bits(n + (SQ_WHOLE + 1023.0)) << 52); }

/* 2^n e^r for whole n and |r| <= 0.347 (2^-52), n between -1100 and 1100. */
SQ_INLINE double sq_exp_parts(double n, double r) {
    double p = 0x1.af39f2f9c07d0p-26;
    p = fma(p, r, 0x1.2891855af4933p-22);
    p = fma(p, r, 0x1.71de0c879011ep-19);
    p = fma(p, r, 0x1.a019b90d930a4p-16);
    p = fma(p, r, 0x1.a01a01a86cd6cp-13);
    p = fma(p, r, 0x1.6c16c1788b87ap-10);
    p = fma(p, r, 0x1.1111111110774p-7);
    p = fma(p, r, 0x1.5555555553d65p-5);
    p = fma(p, r, 0x1.5555555555556p-3);
    p = fma(p, r, 0.5);
    p = fma(p * r, r, r) + 1.0;
    const double half = (n * 0.5 + SQ_WHOLE) - SQ_WHOLE;
    return p * sq_power_of_two_d(half) * sq_power_of_two_d(n - half);
}

/* e^x in double, 1 unit; 0 below -746, inf above 710, NaN stays. */
SQ_INLINE double sq_exp_d(double x) {
    x = x < -746.0 ? -746.0 : x;
    x = x > 710.0 ? 710.0 : x;
    const double n = (x * 0x1.71547652b82fep0 + SQ_WHOLE) - SQ_WHOLE;
    double r = fma(n, -0x1.62e42fefa39efp-1, x);
    r = fma(n, -0x1.abc9e3b39803fp-56, r);
    return sq_exp_parts(n, r);
}

/* x = 2^e m with sqrt(1/2) <= m < sqrt(2); x a positive normal number. */
SQ_INLINE double sq_split(double x, double* m) {
    const uint64_t root = 0x3FE6A09E667F3BCDu, bits = sq_bits(x) - root + 0x3FF0000000000000u;
    *m = sq_of_bits((bits & 0xFFFFFFFFFFFFFu) + root);
    return sq_of_bits(bits >> 52 | 0x4330000000000000u) - (0x1p52 + 1023.0);
}

/* ln m of sq_split's m: 2s + s^3 r(s^2), s = (m - 1)/(m + 1) (2^-54 but for rounding). */
SQ_INLINE double sq_log_near_one(double m) {
    const double s = (m - 1.0) / (m + 1.0), z = s * s;
    double p = 0x1.2bf51eb83d6c5p-3;
    p = fma(p, z, 0x1.39ee3ae130e06p-3);
    p = fma(p, z, 0x1.74635cb955216p-3);
    p = fma(p, z, 0x1.c71c5f787e72fp-3);
    p = fma(p, z, 0x1.24924932a2c3fp-2);
    p = fma(p, z, 0x1.999999998ecb1p-2);
    p = fma(p, z, 0x1.5555555555573p-1);
    return fma(s * z, p, s + s);
}

/* The natural logarithm of a number that fits a float: -inf at 0, NaN below, inf and NaN stay. */
SQ_INLINE double sq_log_d(double x) {
    double m;
    const double e = sq_split(x, &m);
    double y = fma(e, 0x1.62e42fefa39efp-1, sq_log_near_one(m));
    y = x == 0.0 ? -INFINITY : y;
    y = x < 0.0 ? NAN : y;
    return x == x && x < INFINITY ? y : x + 0.0;
}

SQ_INLINE float sq_log(float x) { return (float)sq_log_d((double)x); }

/* x^y as C's powf, correctly rounded but for near ties. */
SQ_INLINE float sq_pow(float base, float exponent) {
    const double x = fabs((double)base), y = (double)exponent;
    double m;
    const double e = sq_split(x, &m);
    double log2 = fma(sq_log_near_one(m), 0x1.71547652b82fep0, e);
    log2 = x == 0.0 ? -INFINITY : log2;
    log2 = x < INFINITY ? log2 : x; /* inf, NaN */
    double t = y * log2;
    t = t < -1000.0 ? -1000.0 : t;
    t = t > 1000.0 ? 1000.0 : t;
    const double n = (t + SQ_WHOLE) - SQ_WHOLE;
    const double z = sq_exp_parts(n, (t - n) * 0x1.62e42fefa39efp-1);
    const double a = fabs(y), near = a < 0x1p24 ? y : 0.0; /* larger ones are even, as 0 is */
    const double half = near * 0.5, sign = copysign(1.0, (double)base);
    const double of_whole = (half + SQ_WHOLE) - SQ_WHOLE != half ? -z : z;
    const double of_fraction = x == 0.0 ? z : x < INFINITY ? (double)NAN : z;
    const double of_negative = (near + SQ_WHOLE) - SQ_WHOLE != near ? of_fraction : of_whole;
    const double of_minus_one = a == INFINITY ? 1.0 : of_negative;
    double r = sign < 0.0 ? of_negative : z;
    r = x == 1.0 ? (sign < 0.0 ? of_minus_one : 1.0) : r;
    return (float)(y == 0.0 ? 1.0 : r);
}

/* The angle's distance from the nearest multiple of pi/2; that multiple modulo 4 in *quadrant. |x| < 2^30. */
SQ_INLINE double sq_reduce(double x, uint64_t* quadrant) {
    const double t = x * 0x1.45f306dc9c883p-1 + SQ_WHOLE, n = t - SQ_WHOLE;
    *quadrant = sq_bits(t) & 3;
    return fma(n, -0x1.1a62633145c07p-54, fma(n, -0x1.921fb54442d18p0, x));
}

/* Angles beyond that: the bits of 2/pi that matter times the mantissa. */
static __attribute__((noinline, unused)) double sq_reduce_far(float x, uint64_t* quadrant) {
    static const uint32_t two_over_pi[] = {0xA2F9836E, 0x4E441529, 0xFC2757D1, 0xF534DDC0, 0xDB629599,
                                           0x3C439041, 0xFE5163AB, 0xDEBBC561};
    union { float value; uint32_t bits; } u = {x};
    const int at = (int)(u.bits >> 23 & 255) - 150 - 2; /* bits of 2/pi in front of it give multiples of 4 */
    const uint64_t mantissa = (u.bits & 0x7FFFFF) | 0x800000;
    const uint32_t* w = two_over_pi + at / 32;
    const int shift = at % 32;
    unsigned __int128 window = (unsigned __int128)((uint64_t)w[0] << 32 | w[1]) << 64 | ((uint64_t)w[2] << 32 | w[3]);
    window <<= shift;
    /* The product modulo 2^128 stands for a number modulo 4; its top two bits, rounded, are the quadrant. */
    const unsigned __int128 product = window * mantissa;
    const uint64_t top = (uint64_t)(product >> 64), turn = (top + (1ull << 61)) >> 62;
    const double r = (double)(int64_t)(top - (turn << 62)) * 0x1p-62 * 0x1.921fb54442d18p0;
    *quadrant = x < 0 ? (4 - turn) & 3 : turn & 3;
    return x < 0 ? -r : r;
}

SQ_INLINE double sq_sin_near_zero(double r) {
    const double z = r * r;
    double p = -0x1.ae600bcaa7691p-26;
    p = fma(p, z, 0x1.71de379727415p-19);
    p = fma(p, z, -0x1.a01a019e83b6ap-13);
    p = fma(p, z, 0x1.1111111110baap-7);
    p = fma(p, z, -0x1.5555555555555p-3);
    return fma(p * z, r, r);
}

SQ_INLINE double sq_cos_near_zero(double r) {
    const double z = r * r;
    double p = -0x1.27e0f536b3497p-22;
    p = fma(p, z, 0x1.a019fc7aa81c5p-16);
    p = fma(p, z, -0x1.6c16c1691cdb8p-10);
    p = fma(p, z, 0x1.555555555412dp-5);
    p = fma(p, z, -0x1.ffffffffffffap-2);
    return fma(p, z, 1.0);
}

/* sin, or with turn = 1 cos, of a reduced angle. */
SQ_INLINE double sq_sin_of(double r, uint64_t quadrant, uint64_t turn) {
    const double s = sq_sin_near_zero(r), c = sq_cos_near_zero(r);
    const uint64_t q = quadrant + turn;
    const double y = q & 1 ? c : s;
    return q & 2 ? -y : y;
}

#define SQ_FAR 0x1p30f

SQ_INLINE float sq_sin(float x) {
    uint64_t q;
    const double r = sq_reduce((double)x, &q);
    return (float)(x == 0.0f ? (double)x : sq_sin_of(r, q, 0));
}

SQ_INLINE float sq_cos(float x) {
    uint64_t q;
    const double r = sq_reduce((double)x, &q);
    return (float)sq_sin_of(r, q, 1);
}

SQ_INLINE float sq_tan(float x) {
    uint64_t q;
    const double r = sq_reduce((double)x, &q);
    return (float)(x == 0.0f ? (double)x : sq_sin_of(r, q, 0) / sq_sin_of(r, q, 1));
}

/* The same for |x| >= SQ_FAR, and infinities; kind is 0 sin, 1 cos, 2 tan. */
static __attribute__((noinline, unused)) float sq_turn_far(float x, int kind) {
    uint64_t q;
    if (x - x != 0.0f) return NAN;
    const double r = sq_reduce_far(x, &q);
    const double s = sq_sin_of(r, q, 0), c = sq_sin_of(r, q, 1);
    return (float)(kind == 0 ? s : kind == 1 ? c : s / c);
}

/* asin x - x for |x| <= 1/2 (2^-42), z = x^2. */
SQ_INLINE double sq_asin_more(double x, double z) {
    double p = 0x1.cb61bfa062c00p-6;
    p = fma(p, z, -0x1.95bf3de20ee39p-9);
    p = fma(p, z, 0x1.021ac2fc2af58p-6);
    p = fma(p, z, 0x1.af7214750e277p-7);
    p = fma(p, z, 0x1.1dd165696d879p-6);
    p = fma(p, z, 0x1.6e70a904ae3b4p-6);
    p = fma(p, z, 0x1.f1c8315607adbp-6);
    p = fma(p, z, 0x1.6db6d892cf124p-5);
    p = fma(p, z, 0x1.3333333644c6dp-4);
    p = fma(p, z, 0x1.55555555549abp-3);
    return p * z * x;
}

/* NaN outside -1..1. Above 1/2: asin x = pi/2 - 2 asin(sqrt((1 - x)/2)). */
SQ_INLINE double sq_asin_d(double x) {
    const double a = fabs(x);
    const int far = a > 0.5;
    const double z = far ? (1.0 - a) * 0.5 : a * a;
    const double t = far ? sqrt(z) : a;
    const double y = t + sq_asin_more(t, z);
    return copysign(far ? fma(-2.0, y, 0x1.921fb54442d18p0) : y, x);
}

SQ_INLINE float sq_asin(float x) { return (float)sq_asin_d((double)x); }

SQ_INLINE float sq_acos(float f) {
    const double x = (double)f, a = fabs(x);
    const int far = a > 0.5;
    const double z = far ? (1.0 - a) * 0.5 : a * a;
    const double t = far ? sqrt(z) : x;
    const double y = t + sq_asin_more(t, z);
    const double large = x < 0.0 ? fma(-2.0, y, 0x1.921fb54442d18p1) : y + y;
    return (float)(far ? large : 0x1.921fb54442d18p0 - y);
}

/* Above 1: pi/2 - atan(1/x); a polynomial in x^2 below (2^-37). */
SQ_INLINE float sq_atan(float f) {
    const double x = (double)f, a = fabs(x), t = a > 1.0 ? 1.0 / a : a, z = t * t;
    double p = -0x1.8a480bcc7f00ep-12;
    p = fma(p, z, 0x1.775a790eec0e3p-9);
    p = fma(p, z, -0x1.4f09d958a986ep-7);
    p = fma(p, z, 0x1.7c0b5b1394f7fp-6);
    p = fma(p, z, -0x1.3d23a1c8f97f9p-5);
    p = fma(p, z, 0x1.b169f85738d48p-5);
    p = fma(p, z, -0x1.09a3baa01013fp-4);
    p = fma(p, z, 0x1.397f70e031fabp-4);
    p = fma(p, z, -0x1.742482bb4161fp-4);
    p = fma(p, z, 0x1.c717a1cafab25p-4);
    p = fma(p, z, -0x1.24922d5246df5p-3);
    p = fma(p, z, 0x1.999999169b739p-3);
    p = fma(p, z, -0x1.55555555193bcp-2);
    const double y = fma(p * z, t, t);
    return (float)copysign(a > 1.0 ? 0x1.921fb54442d18p0 - y : y, x);
}

/* A polynomial below 1 (2^-41), where the difference of exponentials would cancel. */
SQ_INLINE float sq_sinh(float f) {
    const double x = (double)f, a = fabs(x), z = x * x;
    double p = 0x1.b559919303bc9p-26;
    p = fma(p, z, 0x1.71d20094fff7cp-19);
    p = fma(p, z, 0x1.a01a1328c322ap-13);
    p = fma(p, z, 0x1.111111083cd45p-7);
    p = fma(p, z, 0x1.5555555558406p-3);
    const double e = sq_exp_d(a);
    return (float)(a < 1.0 ? fma(p * z, x, x) : copysign(0.5 * (e - 1.0 / e), x));
}

SQ_INLINE float sq_cosh(float x) {
    const double e = sq_exp_d(fabs((double)x));
    return (float)(0.5 * (e + 1.0 / e));
}

/* A third of the exponent as a first guess (5 bits), then Halley's steps (15, 45). */
SQ_INLINE float sq_cbrt(float f) {
    const float a = fabsf(f);
    const int small = a < 0x1p-100f;
    const float scaled = small ? a * 0x1p72f : a;
    union { float value; uint32_t bits; } u = {scaled};
    u.bits = u.bits / 3 + 709921077u;
    const double x = (double)scaled;
    double y = (double)u.value;
    for (int i = 0; i < 3; i++) {
        const double cube = y * y * y;
        y = y * ((cube + (x + x)) / (cube + cube + x));
    }
    y = small ? y * 0x1p-24 : y;
    return a > 0.0f && a < INFINITY ? (float)copysign(y, (double)f) : f;
}

/* x tanh(ln(1 + e^x)) = x n/(n + 2), n = e^x (e^x + 2); from 20 on x. */
SQ_INLINE double sq_mish_d(double x) {
    const double e = sq_exp_d(x > 20.0 ? 20.0 : x), n = e * (e + 2.0);
    return x > 20.0 ? x : x * (n / (n + 2.0));
}

#endif
