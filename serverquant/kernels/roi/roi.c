#include "serverquant/vectorise.h"

#include "roi.h"

#include <float.h>

#include "../../_base/isa.h"
#include "scalar.h"

#define SQ_SUFFIX scalar
#include "generic.h"

#if SQ_X86
SQ_TARGET_AVX2_BEGIN
#define SQ_SUFFIX avx2
#include "generic.h"
SQ_TARGET_END

SQ_TARGET_AVX512VNNI_BEGIN
#define SQ_SUFFIX avx512vnni
#include "generic.h"
SQ_TARGET_END
#endif

#include "bytes.h"

static void pool_plane(const sq_roi_job* j, const long long* border, const float* plane, float* y, int32_t* argmax) {
    for (int ph = 0; ph < j->pooled_h; ph++) {
        long long top, bottom;
        sq_roi_bin(ph, j->pooled_h, border[1], border[3], j->height, &top, &bottom);
        for (int pw = 0; pw < j->pooled_w; pw++) {
            long long left, right;
            sq_roi_bin(pw, j->pooled_w, border[0], border[2], j->width, &left, &right);
            float best = bottom <= top || right <= left ? 0.0f : -FLT_MAX;
            long long at = -1;
            for (long long h = top; h < bottom; h++)
                for (long long i = h * j->width + left; i < h * j->width + right; i++)
                    if (plane[i] > best) best = plane[i], at = i;
            y[ph * j->pooled_w + pw] = best;
            if (argmax) argmax[ph * j->pooled_w + pw] = (int32_t)at;
        }
    }
}

static void sq_roi_pool_f32_scalar(const void* job, long long begin, long long end) {
    const sq_roi_job* j = job;
    const long long pixels = j->height * j->width, bins = (long long)j->pooled_h * j->pooled_w;
    for (long long n = begin; n < end; n++) {
        long long image, border[4];
        const float* roi = sq_roi_row(j, n, &image);
        for (int k = 0; k < 4; k++) border[k] = (long long)roundf(roi[k] * j->spatial_scale);
        for (long long c = 0; c < j->channels; c++) {
            const long long at = (n * j->channels + c) * bins;
            pool_plane(j, border, j->x + (image * j->channels + c) * pixels, j->y + at, j->argmax ? j->argmax + at : NULL);
        }
    }
}

/* Coordinates on the map that whole numbers can hold. */
static int is_usable(float v) { return v > -1e9f && v < 1e9f; }

static int fault_of_one(const sq_roi_job* j, long long n, long long images, int points) {
    const int plain = j->rotated ? 5 : 4;
    const float* roi = j->rois + n * j->columns;
    if (j->columns > plain && !(*roi > -1.0f && *roi < (float)images)) return SQ_ROI_NO_IMAGE;
    if (j->columns > plain) roi++;
    if (images == 0 || j->height * j->width == 0) return SQ_ROI_NO_IMAGE;
    for (int k = 0; k < 4; k++)
        if (!is_usable(roi[k] * j->spatial_scale)) return SQ_ROI_NOT_FINITE;
    if (j->rotated && !is_usable(roi[4])) return SQ_ROI_NOT_FINITE;
    if (!points) return SQ_ROI_FINE;
    sq_roi_place place;
    sq_roi_locate(j, n, &place);
    if (!(place.bin_h >= 0 && place.bin_w >= 0)) return SQ_ROI_NEGATIVE;
    return place.grid_h > SQ_ROI_GRID_MAX || place.grid_w > SQ_ROI_GRID_MAX ? SQ_ROI_TOO_LARGE : SQ_ROI_FINE;
}

int sq_roi_fault(const sq_roi_job* j, long long count, long long images, int points, long long* which) {
    for (long long n = 0; n < count; n++) {
        const int fault = fault_of_one(j, n, images, points);
        *which = n;
        if (fault) return fault;
    }
    return SQ_ROI_FINE;
}

const sq_row sq_roi_rows[] = {
#include "kernels.inc"
};
const int sq_roi_row_count = sizeof sq_roi_rows / sizeof sq_roi_rows[0];
