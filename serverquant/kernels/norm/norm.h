/* Normalisation: sums over rows and columns, affine maps, whole rows, and local response.
 *
 *   affine_nchw_f32   items: planes (image, channel) of `inner` floats; channel = item % channels
 *   affine_nhwc_f32   items: pixels of `channels` floats
 *     y = f32(f32(x * alpha[c]) + beta[c]): two roundings; within the bounds. y may be x.
 *   row_sums_f32      items: rows of `inner` floats; row i belongs to centre i % centres
 *   column_sums_f32   items: blocks of SQ_NORM_BLOCK columns of an image, x [outer][inner][channels]
 *     sums = sum of x (centre NULL), or of f32(x - centre)^2, as double
 *   row_norm_f32      items: rows of `inner` floats, y may be x
 *     layer norm:  mean = f32(sum / n), var = f32(sum of f32(x - mean)^2 / n), sigma = f32(sqrt(f32(var + epsilon)))
 *                  scale = f32(1 / sigma), shift = f32(-scale * mean), y = f32(f32(x * scale) + shift)
 *     rms norm:    scale = f32(1 / f32(sqrt(f32(f32(sum of x^2 / n) + epsilon)))), y = f32(x * scale)
 *                  then y = f32(f32(y * gamma[j]) + beta[j]), unless NULL
 *   lrn_nchw_f32      items: blocks of SQ_NORM_BLOCK pixels of an image; lrn_nhwc_f32   items: pixels
 *     scale = bias + sum over the window's channels, ascending, of fma(x, x * (alpha / size), ...); y = x * scale^-beta
 *   channel_sums_u8   items: NHWC blocks of SQ_NORM_BLOCK channels of an image, NCHW planes
 *     sums = sum of x, squares = sum of x^2, exact
 *   group_u8          items: NHWC pixels of `channels` bytes, NCHW planes of `inner` bytes; rows of neighbours
 *     acc = x * scale[c] + bias[c] modulo 2^32, as int32
 *     whole blocks of SQ_GROUP_BLOCK neighbours:  y = clamp(((acc * multiplier + half) >> shift) + zero_point)
 *     those behind them:                          y = clamp(rne(f32(f32(acc) * factor)) + zero_point)
 *
 * A sum takes blocks of SQ_NORM_RUN elements: sixteen lanes of single precision (columns: one chain each), lane k adding
 * elements k, k+16, ...; then lane k adds lane k+8, k+4, k+2, k+1; the blocks' sums are added as doubles.
 */
#ifndef SERVERQUANT_NORM_H
#define SERVERQUANT_NORM_H

#include <stdint.h>

#include "serverquant/bounds.h"
#include "serverquant/rows.h"

enum { SQ_NORM_BLOCK = 64, SQ_NORM_RUN = 1024, SQ_GROUP_BLOCK = 8 };

typedef struct {
    const float* x;
    float* y;
    const float* alpha;
    const float* beta;
    long long channels;
    long long inner;
    sq_bounds bounds;    /* then y within them */
} sq_affine_job;

typedef struct {
    const float* x;
    const float* centre; /* rows: [centres]; columns: [outer][channels]; or NULL */
    double* sums;        /* rows: [rows]; columns: [outer][channels] */
    long long centres, channels, inner;
} sq_sums_job;

typedef struct {
    const float* x;
    float* y;
    const float* gamma;  /* [inner], or NULL together with beta */
    const float* beta;
    float* mean;         /* [rows]; NULL: a norm by the root of the mean square */
    float* sigma;        /* [rows]: the deviation, or 1 / root of the mean square */
    long long inner;
    float epsilon;
} sq_row_norm_job;

typedef struct {
    const float* x;
    float* y;
    float* scale;        /* of x's shape, or NULL */
    long long channels, inner;
    long long size;      /* channels of a window, half of them before */
    float alpha, beta, bias;
} sq_lrn_job;

typedef struct {
    const uint8_t* x;
    uint64_t* sums;          /* [images][channels] */
    uint64_t* squares;
    long long channels, inner;
    int nhwc;
} sq_channel_sums_job;

typedef struct {
    const uint8_t* x;
    uint8_t* y;
    const int32_t* scale;    /* [images][channels] */
    const int32_t* bias;
    long long channels, inner;
    int nhwc;
    int64_t multiplier, half; /* products modulo 2^64 */
    int shift;
    float factor;
    int zero_point, hi;      /* y is 0 to 255 in whole blocks, 0 to hi in the rest */
} sq_group_job;

extern const sq_row sq_norm_rows[];
extern const int sq_norm_row_count;

/* alpha = f32(scale / f32(sqrt(f32(var + epsilon)))), beta = f32(bias - f32(alpha * mean)). */
void sq_fold_norm(const float* scale, const float* bias, const float* mean, const float* var, float epsilon,
                  long long channels, float* alpha, float* beta);

#endif
