#include "serverquant/vectorise.h"

#include "boxes.h"

#include <string.h>

#include "rotated.h"
#include "serverquant/elementary.h"

/* Boxes laid out by column, so that the compiler compares many at once. `area` is there for rotated ones too. */
typedef struct {
    float *x1, *y1, *x2, *y2, *area;
    long long count;
} sq_columns;

static sq_columns columns_at(float* room, long long count) {
    return (sq_columns){room, room + count, room + 2 * count, room + 3 * count, room + 4 * count, 0};
}

static float area_of(const sq_boxes* b, const float* box) {
    return b->columns == 5 ? box[2] * box[3] : (box[2] - box[0] + b->plus_one) * (box[3] - box[1] + b->plus_one);
}

static void put(const sq_boxes* b, sq_columns* c, long long at, const float* box) {
    c->x1[at] = box[0], c->y1[at] = box[1], c->x2[at] = box[2], c->y2[at] = box[3];
    c->area[at] = area_of(b, box);
}

static inline float larger(float a, float b) { return a > b ? a : b; }
static inline float smaller(float a, float b) { return a < b ? a : b; }

/* overlap[i] of `box` and the upright boxes begin..end of c. */
static void overlaps(const sq_columns* c, long long begin, long long end, const float* box, float area, float plus_one,
                     float* overlap) {
    const float x1 = box[0], y1 = box[1], x2 = box[2], y2 = box[3];
#pragma GCC ivdep
    for (long long i = begin; i < end; i++) {
        const float w = larger(smaller(c->x2[i], x2) - larger(c->x1[i], x1) + plus_one, 0);
        const float h = larger(smaller(c->y2[i], y2) - larger(c->y1[i], y1) + plus_one, 0);
        const float common = w * h;
        overlap[i - begin] = common / (area + c->area[i] - common);
    }
}

/* Whether `box` overlaps one of the kept boxes too much. Not a number does. */
static int is_suppressed(const sq_columns* kept, const float* box, float area, float plus_one, float threshold) {
    enum { BLOCK = 16 };
    float overlap[BLOCK];
    for (long long i = 0; i < kept->count; i += BLOCK) {
        const long long end = i + BLOCK < kept->count ? i + BLOCK : kept->count;
        overlaps(kept, i, end, box, area, plus_one, overlap);
        int hit = 0;
        for (long long k = 0; k < end - i; k++) hit |= !(overlap[k] <= threshold);
        if (hit) return 1;
    }
    return 0;
}

static float rotated_overlap(const sq_boxes* b, int32_t first, int32_t second, float area1, float area2) {
    const float common = (float)sq_rotated_common(b->boxes + first * 5ll, b->boxes + second * 5ll);
    return common / (area1 + area2 - common);
}

static int is_rotated_suppressed(const sq_boxes* b, const sq_columns* kept, const int32_t* keep, int32_t box, float area,
                                 float threshold) {
    for (long long i = 0; i < kept->count; i++)
        if (!(rotated_overlap(b, keep[i], box, kept->area[i], area) <= threshold)) return 1;
    return 0;
}

long long sq_nms(const sq_boxes* b, const int32_t* order, long long n, float threshold, long long top, int32_t* keep,
                 float* room) {
    sq_columns kept = columns_at(room, b->count);
    for (long long i = 0; i < n && (top < 0 || kept.count < top); i++) {
        const float* box = b->boxes + (long long)order[i] * b->columns;
        const float area = area_of(b, box);
        const int out = b->columns == 5 ? is_rotated_suppressed(b, &kept, keep, order[i], area, threshold)
                                        : is_suppressed(&kept, box, area, b->plus_one, threshold);
        if (out) continue;
        put(b, &kept, kept.count, box);
        keep[kept.count++] = order[i];
    }
    return kept.count;
}

static float weight_of(float overlap, int method, float sigma, float threshold) {
    if (method == SQ_NMS_LINEAR) return overlap > threshold ? (float)(1.0 - overlap) : 1.0f;
    return (float)sq_exp_d(-1.0 * overlap * overlap / sigma);
}

static long long best_of(const float* scores, const int32_t* pending, long long n) {
    long long best = 0;
    for (long long i = 1; i < n; i++)
        if (scores[pending[i]] > scores[pending[best]]) best = i;
    return best;
}

long long sq_soft_nms(const sq_boxes* b, float* scores, int32_t* pending, long long n, int method, float sigma,
                      float threshold, float least, int32_t* keep, float* room) {
    sq_columns rest = columns_at(room, b->count);
    float* overlap = room + 5 * b->count;
    long long kept = 0;
    while (n > 0) {
        const long long at = best_of(scores, pending, n);
        const int32_t best = pending[at];
        const float* box = b->boxes + (long long)best * b->columns;
        const float area = area_of(b, box);
        keep[kept++] = best;
        pending[at] = pending[0]; /* the first of the others takes its place */
        for (long long i = 1; i < n; i++) put(b, &rest, i, b->boxes + (long long)pending[i] * b->columns);
        if (b->columns == 5)
            for (long long i = 1; i < n; i++) overlap[i - 1] = rotated_overlap(b, best, pending[i], area, rest.area[i]);
        else
            overlaps(&rest, 1, n, box, area, b->plus_one, overlap);
        long long left = 0;
        for (long long i = 1; i < n; i++) {
            scores[pending[i]] *= weight_of(overlap[i - 1], method, sigma, threshold);
            if (scores[pending[i]] >= least) pending[left++] = pending[i];
        }
        n = left;
    }
    return kept;
}
