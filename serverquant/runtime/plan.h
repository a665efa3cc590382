/* Pieces of the step walker that C says more shortly than Cython. */
#ifndef SERVERQUANT_PLAN_H
#define SERVERQUANT_PLAN_H

#include <time.h>

#include "serverquant/op_api.h"

/* Nanoseconds of the monotonic clock. */
static inline int64_t sq_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * (int64_t)1000000000 + t.tv_nsec;
}

static inline int sq_same_shape(const sq_shape* a, const sq_shape* b) {
    if (a->kind != b->kind || a->dtype != b->dtype || a->ndim != b->ndim) return 0;
    for (int i = 0; i < a->ndim; i++)
        if (a->dims[i] != b->dims[i]) return 0;
    return 1;
}

/* Whether `a` is `b` with another dims[0]. */
static inline int sq_same_but_rows(const sq_shape* a, const sq_shape* b) {
    if (a->kind != b->kind || a->dtype != b->dtype || a->ndim != b->ndim || a->ndim == 0) return 0;
    for (int i = 1; i < a->ndim; i++)
        if (a->dims[i] != b->dims[i]) return 0;
    return 1;
}

/* 0 when the new size is past any memory: an empty input may have any number of rows. */
static inline int sq_set_rows(sq_shape* s, int64_t rows) {
    s->dims[0] = rows;
    s->size = 1;
    for (int i = 0; i < s->ndim; i++)
        if (__builtin_mul_overflow(s->size, s->dims[i], &s->size)) return 0;
    return s->size < (int64_t)1 << 56;
}

#endif
