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

static int64_t share_bytes(const sq_pool* p) { return p->nhwc ? pixels_share_bytes(p) : plan_planes(p).bytes; }

int64_t sq_pool_scratch(const sq_pool* p, int64_t team) { return team * share_bytes(p); }

void sq_pool_range(const void* arg, long long begin, long long end) {
    const sq_pool_job* job = (const sq_pool_job*)arg;
    const sq_pool* p = job->pool;
    const int64_t planes = p->batch * p->channels;
    const int beside = !p->nhwc && planes_beside(p, job->kind);
    const int64_t items = p->nhwc  ? p->batch * sq_volume(p->window.out)
                          : beside ? (planes + BESIDE - 1) / BESIDE
                                   : planes;
    void (*run)(const sq_pool_job*, int64_t, int64_t, char*) = p->nhwc ? pool_pixels : beside ? pool_blocks : pool_planes;
    for (long long share = begin; share < end; share++)
        run(job, items * share / job->team, items * (share + 1) / job->team, job->scratch + share * share_bytes(p));
}
