/* The k largest of a line, in a heap whose top is the worst of them. */
#ifndef SERVERQUANT_REDUCE_SCALAR_H
#define SERVERQUANT_REDUCE_SCALAR_H

#include <stdint.h>

#include "reduce.h"

/* Places of the outputs are `inner` apart. */
typedef struct {
    float* values;
    int64_t* places;
    long long inner;
} sq_heap;

static int sq_heap_worse(const sq_heap* h, long long i, long long k) {
    const float a = h->values[i * h->inner], b = h->values[k * h->inner];
    return a < b || (a == b && h->places[i * h->inner] > h->places[k * h->inner]);
}

static void sq_heap_swap(sq_heap* h, long long i, long long k) {
    const float value = h->values[i * h->inner];
    const int64_t place = h->places[i * h->inner];
    h->values[i * h->inner] = h->values[k * h->inner];
    h->places[i * h->inner] = h->places[k * h->inner];
    h->values[k * h->inner] = value;
    h->places[k * h->inner] = place;
}

static void sq_heap_sink(sq_heap* h, long long i, long long size) {
    for (;;) {
        long long worst = i;
        if (2 * i + 1 < size && sq_heap_worse(h, 2 * i + 1, worst)) worst = 2 * i + 1;
        if (2 * i + 2 < size && sq_heap_worse(h, 2 * i + 2, worst)) worst = 2 * i + 2;
        if (worst == i) return;
        sq_heap_swap(h, i, worst);
        i = worst;
    }
}

static void sq_top_k_line(const float* x, long long n, long long k, sq_heap* h) {
    const long long size = n < k ? n : k;
    for (long long i = 0; i < size; i++) {
        h->values[i * h->inner] = x[i * h->inner];
        h->places[i * h->inner] = i;
    }
    for (long long i = size / 2 - 1; i >= 0; i--) sq_heap_sink(h, i, size);
    for (long long i = size; i < n; i++)
        if (x[i * h->inner] > h->values[0]) { /* an equal one comes later, and so is worse */
            h->values[0] = x[i * h->inner];
            h->places[0] = i;
            sq_heap_sink(h, 0, size);
        }
    for (long long left = size - 1; left > 0; left--) { /* the worst goes behind the others */
        sq_heap_swap(h, 0, left);
        sq_heap_sink(h, 0, left);
    }
    for (long long i = size; i < k; i++) {
        h->values[i * h->inner] = 0.0f;
        h->places[i * h->inner] = -1;
    }
}

static void sq_top_k_f32_scalar(const void* job, long long begin, long long end) {
    const sq_top_k_job* j = job;
    for (long long item = begin; item < end; item++) {
        const long long o = item / j->inner, at = item % j->inner;
        sq_heap h = {j->values + o * j->k * j->inner + at, j->places + o * j->k * j->inner + at, j->inner};
        sq_top_k_line(j->x + o * j->n * j->inner + at, j->n, j->k, &h);
        for (long long i = 0; j->places_flat && i < j->k; i++) {
            const int64_t place = h.places[i * j->inner];
            const int64_t flat = place < 0 ? -1 : (o * j->n + place) * j->inner + at;
            j->places_flat[(o * j->k + i) * j->inner + at] = flat;
        }
    }
}

#endif
