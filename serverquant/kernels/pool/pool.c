/* Kernel table of the pools, and the split of a job; the contract is in pool.h. */
#include "pool.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "../../_base/isa.h"
#include "scalar.h"
#if SQ_X86
#include "avx2.h"
#include "avx512vnni.h"
#endif

#include "pixels.h"
#include "planes.h"

#define SQ_POOL_KERNEL(isa, name, lanes, byte_lanes)                                                              \
    {#name, SQ_ISA_##isa, lanes, byte_lanes, name##_max_f32, name##_sum_f32, name##_max_u8, name##_sum_u8,        \
     name##_scale_f32, name##_round_u8},
static const sq_pool_row table[] = {
#include "kernels.inc"
};
#undef SQ_POOL_KERNEL

int sq_pool_rows(void) { return (int)(sizeof(table) / sizeof(table[0])); }
const sq_pool_row* sq_pool_row_at(int index) { return &table[index]; }

static int64_t share_bytes(const sq_pool* p) {
    const int64_t planes = takes_planes(p, SQ_MAX_U8) ? plan_planes(p, NULL).bytes : 0, pixels = pixels_share_bytes(p);
    return sq_pool_align(p->nhwc && pixels > planes ? pixels : planes);
}

int64_t sq_pool_scratch(const sq_pool* p, int64_t team) { return team * share_bytes(p); }

void sq_pool_range(const void* arg, long long begin, long long end) {
    const sq_pool_job* job = (const sq_pool_job*)arg;
    const sq_pool* p = job->pool;
    void (*run)(const sq_pool_job*, int64_t, int64_t, char*) = pool_pixels;
    int64_t items = p->batch * sq_volume(p->window.out);
    if (items && takes_planes(p, job->kind)) {
        run = planes_beside(p) ? pool_blocks : pool_planes;
        items = planes_beside(p) ? (planes_of(p) + BESIDE - 1) / BESIDE : planes_of(p) * bands_of(p);
    }
    for (long long share = begin; share < end; share++)
        run(job, items * share / job->team, items * (share + 1) / job->team, job->scratch + share * share_bytes(p));
}
