/* Non-maximum suppression (NMS): of boxes that overlap, the best one stays.
 *
 * A box is [x1, y1, x2, y2], or rotated [center x, center y, width, height, angle] (degrees, counter-clockwise). All in
 * single precision but for the area in which two rotated boxes meet. With plus_one = 1 pixels are counted, x2 - x1 + 1.
 *
 *   overlap(a, b) = common / (area a + area b - common)
 */
#ifndef SERVERQUANT_BOXES_H
#define SERVERQUANT_BOXES_H

#include <stdint.h>

typedef struct {
    const float* boxes; /* count x columns */
    long long count;
    int columns; /* 4 or 5 */
    float plus_one;
} sq_boxes;

/* Floats of room that sq_nms and sq_soft_nms need for `count` boxes. */
#define SQ_BOXES_ROOM 6

/* The boxes `order[0..n]`, best first, that overlap none of those kept before by more than `threshold`; at most `top`
 * unless that is negative. Their number. */
long long sq_nms(const sq_boxes* b, const int32_t* order, long long n, float threshold, long long top, int32_t* keep,
                 float* room);

enum { SQ_NMS_LINEAR = 1, SQ_NMS_GAUSSIAN = 2 };

/* Soft NMS: again and again the best of `pending[0..n]` is kept, and the scores of the others are multiplied by
 * 1 - overlap if that exceeds `threshold` (linear), or by exp(-overlap^2 / sigma); those below `least` are dropped.
 * `scores` are changed in place, `pending` is used up. */
long long sq_soft_nms(const sq_boxes* b, float* scores, int32_t* pending, long long n, int method, float sigma,
                      float threshold, float least, int32_t* keep, float* room);

/* The area in which two rotated boxes meet. */
double sq_rotated_common(const float* box1, const float* box2);

#endif
