/* Where the points of a RoI lie: the definition, one point at a time. */
#ifndef SERVERQUANT_ROI_SCALAR_H
#define SERVERQUANT_ROI_SCALAR_H

#include <math.h>

#include "roi.h"
#include "serverquant/elementary.h"

/* A RoI on the map. Rotated ones are sampled around their centre. */
typedef struct {
    long long image;
    float start_h, start_w, bin_h, bin_w;
    long long grid_h, grid_w;
    float center_h, center_w, cosine, sine;
} sq_roi_place;

/* Four pixels and their weights. */
typedef struct {
    long long at[4];
    float weight[4];
} sq_roi_point;

SQ_INLINE long long sq_roi_grid(const sq_roi_job* j, float size, int pooled) {
    return j->sampling_ratio > 0 ? j->sampling_ratio : (long long)ceilf(size / (float)pooled);
}

/* The RoI's columns without the image, whose index is put into *image. */
SQ_INLINE const float* sq_roi_row(const sq_roi_job* j, long long n, long long* image) {
    const float* roi = j->rois + n * j->columns;
    const int plain = j->rotated ? 5 : 4;
    *image = 0;
    if (j->columns > plain) *image = (long long)*roi++;
    return roi;
}

SQ_INLINE void sq_roi_locate(const sq_roi_job* j, long long n, sq_roi_place* p) {
    const float* roi = sq_roi_row(j, n, &p->image);
    const float offset = j->aligned ? 0.5f : 0.0f, scale = j->spatial_scale;
    const float first_w = roi[0] * scale - offset, first_h = roi[1] * scale - offset;
    float width, height;
    if (j->rotated) {
        const float theta = (float)(roi[4] * 3.14159265358979323846 / 180.0);
        width = roi[2] * scale, height = roi[3] * scale;
        p->center_w = first_w, p->center_h = first_h;
        p->cosine = sq_cos(theta), p->sine = sq_sin(theta);
    } else {
        width = roi[2] * scale - offset - first_w, height = roi[3] * scale - offset - first_h;
    }
    if (!j->aligned) {
        width = width > 1.0f ? width : 1.0f;
        height = height > 1.0f ? height : 1.0f;
    }
    p->start_w = j->rotated ? -width / 2 : first_w;
    p->start_h = j->rotated ? -height / 2 : first_h;
    p->bin_h = height / (float)j->pooled_h, p->bin_w = width / (float)j->pooled_w;
    p->grid_h = sq_roi_grid(j, height, j->pooled_h), p->grid_w = sq_roi_grid(j, width, j->pooled_w);
}

/* The pixels around v on an axis of `size`: low and high, and how far v is from low. */
SQ_INLINE void sq_roi_between(float v, long long size, long long* low, long long* high, float* far) {
    v = v > 0 ? v : 0;
    v = v < (float)(size - 1) ? v : (float)(size - 1);
    *low = (long long)v;
    *high = *low + 1 < size ? *low + 1 : size - 1;
    *far = v - (float)*low;
}

/* Point `i` of bin (ph, pw); 0 if it lies outside of the map. */
SQ_INLINE int sq_roi_sample(const sq_roi_job* j, const sq_roi_place* p, int ph, int pw, long long i, sq_roi_point* out) {
    const float iy = (float)(i / p->grid_w) + 0.5f, ix = (float)(i % p->grid_w) + 0.5f;
    float y, x;
    if (j->rotated) {
        const float yy = p->start_h + (float)ph * p->bin_h + iy * p->bin_h / (float)p->grid_h;
        const float xx = p->start_w + (float)pw * p->bin_w + ix * p->bin_w / (float)p->grid_w;
        x = xx * p->cosine + yy * p->sine + p->center_w;
        y = yy * p->cosine - xx * p->sine + p->center_h;
    } else {
        y = p->start_h + (float)ph * p->bin_h + iy * (p->bin_h / (float)p->grid_h);
        x = p->start_w + (float)pw * p->bin_w + ix * (p->bin_w / (float)p->grid_w);
    }
    if (!(y >= -1 && y <= (float)j->height && x >= -1 && x <= (float)j->width)) return 0;
    long long y0, y1, x0, x1;
    float ly, lx;
    sq_roi_between(y, j->height, &y0, &y1, &ly);
    sq_roi_between(x, j->width, &x0, &x1, &lx);
    const float hy = 1 - ly, hx = 1 - lx;
    out->at[0] = y0 * j->width + x0, out->at[1] = y0 * j->width + x1;
    out->at[2] = y1 * j->width + x0, out->at[3] = y1 * j->width + x1;
    out->weight[0] = hy * hx, out->weight[1] = hy * lx, out->weight[2] = ly * hx, out->weight[3] = ly * lx;
    return 1;
}

/* Points of bins `bin`.., of one RoI: of as many whole bins as fit, or of a part of one bin. */
enum { SQ_ROI_POINTS = 512 };
typedef struct {
    const sq_roi_job* job;
    const float* x; /* the RoI's image */
    float* y;       /* its output */
    int bin, bins;
    int first, last; /* whether the bins' sums start, and end, with these points */
    float scale;
    int ends[SQ_ROI_POINTS]; /* of each bin's points */
    sq_roi_point points[SQ_ROI_POINTS];
} sq_roi_part;

static void sq_roi_fill(const sq_roi_place* p, long long from, long long to, sq_roi_part* part) {
    const int pooled_w = part->job->pooled_w;
    int n = 0;
    for (int b = 0; b < part->bins; b++) {
        const int ph = (part->bin + b) / pooled_w, pw = (part->bin + b) % pooled_w;
        for (long long i = from; i < to; i++) n += sq_roi_sample(part->job, p, ph, pw, i, &part->points[n]);
        part->ends[b] = n;
    }
}

/* Hands all points of RoIs begin..end to `add`, which adds them to the outputs. */
SQ_INLINE void sq_roi_walk(const sq_roi_job* j, long long begin, long long end, void (*add)(const sq_roi_part*)) {
    const int all = j->pooled_h * j->pooled_w;
    sq_roi_part part;
    part.job = j;
    for (long long n = begin; n < end; n++) {
        sq_roi_place place;
        sq_roi_locate(j, n, &place);
        const long long points = place.grid_h * place.grid_w, fit = SQ_ROI_POINTS / (points > 1 ? points : 1);
        const int group = fit < 1 ? 1 : fit < all ? (int)fit : all;
        part.x = j->x + place.image * j->channels * j->height * j->width;
        part.y = j->y + n * j->channels * all;
        part.scale = 1.0f / (float)points;
        for (part.bin = 0; part.bin < all; part.bin += group) {
            part.bins = all - part.bin < group ? all - part.bin : group;
            long long from = 0, to;
            do {
                to = points - from < SQ_ROI_POINTS ? points : from + SQ_ROI_POINTS;
                sq_roi_fill(&place, from, to, &part);
                part.first = from == 0, part.last = to == points;
                add(&part);
                from = to;
            } while (from < points);
        }
    }
}

/* The first and last pixel of a bin, cut to the map. */
SQ_INLINE void sq_roi_bin(int i, int pooled, long long first, long long last, long long size, long long* begin,
                          long long* end) {
    const long long extent = last - first + 1 > 1 ? last - first + 1 : 1;
    const float step = (float)extent / (float)pooled;
    const long long low = (long long)floorf((float)i * step) + first;
    const long long high = (long long)ceilf((float)(i + 1) * step) + first;
    *begin = low < 0 ? 0 : low > size ? size : low;
    *end = high < 0 ? 0 : high > size ? size : high;
}

#endif
