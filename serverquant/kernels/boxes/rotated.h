/* The area that two rotated boxes have in common: the corners of the common polygon, put in order around one of them. */
#ifndef SERVERQUANT_BOXES_ROTATED_H
#define SERVERQUANT_BOXES_ROTATED_H

#include <math.h>

typedef struct {
    float x, y;
} sq_point;

static inline sq_point minus(sq_point a, sq_point b) { return (sq_point){a.x - b.x, a.y - b.y}; }
static inline float cross(sq_point a, sq_point b) { return a.x * b.y - b.x * a.y; }
static inline float dot(sq_point a, sq_point b) { return a.x * b.x + a.y * b.y; }

static void corners(const float* box, sq_point* p) {
    const double angle = -box[4] * 0.01745329251; /* the y axis points down */
    const float b = (float)cos(angle) * 0.5f, a = (float)sin(angle) * 0.5f;
    const float x = box[0], y = box[1], w = box[2], h = box[3];
    p[0] = (sq_point){x - a * h - b * w, y + b * h - a * w};
    p[1] = (sq_point){x + a * h - b * w, y - b * h - a * w};
    p[2] = (sq_point){2 * x - p[0].x, 2 * y - p[0].y};
    p[3] = (sq_point){2 * x - p[1].x, 2 * y - p[1].y};
}

static int are_same(const sq_point* p, const sq_point* q) {
    for (int i = 0; i < 4; i++)
        if (fabsf(p[i].x - q[i].x) > 0.00001f || fabsf(p[i].y - q[i].y) > 0.00001f) return 0;
    return 1;
}

static int edge_crossings(const sq_point* p, const sq_point* q, const sq_point* pe, const sq_point* qe, sq_point* out) {
    int n = 0;
    for (int i = 0; i < 4; i++) {
        for (int k = 0; k < 4; k++) {
            const float det = cross(qe[k], pe[i]);
            if (fabsf(det) <= 1e-14f) continue; /* parallel */
            const sq_point between = minus(q[k], p[i]);
            const float s = cross(qe[k], between) / det, t = cross(pe[i], between) / det;
            if (s >= 0 && s <= 1 && t >= 0 && t <= 1) out[n++] = (sq_point){p[i].x + s * pe[i].x, p[i].y + s * pe[i].y};
        }
    }
    return n;
}

/* Corners p that lie in the box with corners q and edges qe. */
static int corners_inside(const sq_point* p, const sq_point* q, const sq_point* qe, sq_point* out) {
    const float ab = dot(qe[0], qe[0]), ad = dot(qe[3], qe[3]);
    int n = 0;
    for (int i = 0; i < 4; i++) {
        const sq_point from = minus(p[i], q[0]);
        const float along_ab = dot(from, qe[0]), along_ad = -dot(from, qe[3]);
        if (along_ab >= 0 && along_ad >= 0 && along_ab <= ab && along_ad <= ad) out[n++] = p[i];
    }
    return n;
}

/* By angle, and by distance where the angles are as good as equal. */
static int is_before(sq_point a, sq_point b) {
    const float turn = cross(a, b);
    return fabsf(turn) < 1e-6 ? dot(a, a) < dot(b, b) : turn > 0;
}

static void sort_by_angle(sq_point* q, int n) {
    for (int i = 1; i < n; i++) {
        const sq_point v = q[i];
        int k = i;
        for (; k > 0 && is_before(v, q[k - 1]); k--) q[k] = q[k - 1];
        q[k] = v;
    }
}

/* Area of the convex hull of n >= 3 points (Graham's scan). */
static double hull_area(sq_point* q, int n) {
    int low = 0, m = 2, k = 1;
    for (int i = 1; i < n; i++)
        if (q[i].y < q[low].y || (q[i].y == q[low].y && q[i].x < q[low].x)) low = i;
    const sq_point start = q[low];
    for (int i = 0; i < n; i++) q[i] = minus(q[i], start);
    const sq_point first = q[0];
    q[0] = q[low], q[low] = first;
    sort_by_angle(q + 1, n - 1);
    while (k < n && dot(q[k], q[k]) <= 1e-8) k++;
    if (k == n) return 0; /* all in one place */
    q[1] = q[k];
    for (int i = k + 1; i < n; i++) {
        while (m > 1 && cross(minus(q[i], q[m - 2]), minus(q[m - 1], q[m - 2])) >= 0) m--;
        q[m++] = q[i];
    }
    double area = 0;
    for (int i = 1; i < m - 1; i++) area += fabsf(cross(minus(q[i], q[0]), minus(q[i + 1], q[0])));
    return area / 2;
}

double sq_rotated_common(const float* box1, const float* box2) {
    sq_point p[4], q[4], pe[4], qe[4], met[24];
    corners(box1, p);
    corners(box2, q);
    if (are_same(p, q)) {
        const float area1 = box1[2] * box1[3], area2 = box2[2] * box2[3];
        return area1 < area2 ? area1 : area2;
    }
    for (int i = 0; i < 4; i++) pe[i] = minus(p[(i + 1) % 4], p[i]), qe[i] = minus(q[(i + 1) % 4], q[i]);
    int n = edge_crossings(p, q, pe, qe, met);
    n += corners_inside(p, q, qe, met + n);
    n += corners_inside(q, p, pe, met + n);
    return n <= 2 ? 0 : hull_area(met, n);
}

#endif
