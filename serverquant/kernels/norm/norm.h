/* Affine maps per channel, which is what a normalisation with fixed statistics comes to. y may be x.
 *
 *   affine_nchw_f32   items: planes (image, channel) of `inner` floats; channel = item % channels
 *   affine_nhwc_f32   items: pixels of `channels` floats
 *     y = f32(f32(x * alpha[c]) + beta[c]): two roundings
 */
#ifndef SERVERQUANT_NORM_H
#define SERVERQUANT_NORM_H

#include "serverquant/rows.h"

typedef struct {
    const float* x;
    float* y;
    const float* alpha;
    const float* beta;
    long long channels;
    long long inner;
} sq_affine_job;

extern const sq_row sq_norm_rows[];
extern const int sq_norm_row_count;

/* alpha = f32(scale / f32(sqrt(f32(var + epsilon)))), beta = f32(bias - f32(alpha * mean)). */
void sq_fold_norm(const float* scale, const float* bias, const float* mean, const float* var, float epsilon,
                  long long channels, float* alpha, float* beta);

#endif
