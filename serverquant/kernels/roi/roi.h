/* Regions of interest (RoIs) of a feature map, cut out to one size.
 *
 * Items are RoIs. A row of `rois` is [image,] x1, y1, x2, y2, or rotated [image,] center x, center y, width, height,
 * angle (degrees, counter-clockwise), in the coordinates of the input image: times spatial_scale gives pixels of the map.
 *
 *   roi_align_nchw_f32, roi_align_nhwc_f32
 *     A bin is sampled on a grid of sampling_ratio x sampling_ratio points (0 or less: one point a pixel), each
 *     interpolated from four pixels, w1..w4 = hy*hx, hy*lx, ly*hx, ly*lx:
 *         sum += ((w1*p1 + w2*p2) + w3*p3) + w4*p4,   y = sum * f32(1 / points)
 *     in the order of the points; those more than a pixel outside of the map count as 0.
 *   roi_align_u8
 *     NHWC, the mobile set's. The same points with weights rne(f32(w * 255)); acc = sum of w*q - 255 * x_zero_point over
 *     the points; y = clamp(acc * multiplier * 2^-(31 + shift) + y_zero_point), in bytes.h's two roundings.
 *   roi_pool_f32
 *     NCHW. The largest element of a bin with borders at whole pixels, and its place in the plane (-1, and 0, if it has none).
 */
#ifndef SERVERQUANT_ROI_H
#define SERVERQUANT_ROI_H

#include <stdint.h>

#include "serverquant/rows.h"

typedef struct {
    const float* x;
    const float* rois;
    float* y;
    int32_t* argmax; /* roi_pool_f32: NULL if it is not wanted */
    long long channels, height, width;
    int columns; /* of rois */
    int pooled_h, pooled_w, sampling_ratio;
    float spatial_scale;
    int aligned; /* pixel centres at half integers, and no least size */
    int rotated;
} sq_roi_job;

typedef struct {
    sq_roi_job base; /* its x and y are not used */
    const uint8_t* x;
    uint8_t* y;
    int32_t x_zero_point, y_zero_point, multiplier;
    int shift;
} sq_roi_u8_job;

/* What sq_roi_fault says of a RoI. */
enum { SQ_ROI_FINE = 0, SQ_ROI_NO_IMAGE, SQ_ROI_NOT_FINITE, SQ_ROI_NEGATIVE, SQ_ROI_TOO_LARGE };

/* Largest number of points of a bin along one axis. */
#define SQ_ROI_GRID_MAX 32768

/* SQ_ROI_FINE if all of `count` RoIs can be cut out of `images` maps, else what is wrong with number *which. `points`: bins
 * are sampled, so their size counts. */
int sq_roi_fault(const sq_roi_job* job, long long count, long long images, int points, long long* which);

extern const sq_row sq_roi_rows[];
extern const int sq_roi_row_count;

#endif
