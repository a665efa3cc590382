#include "serverquant/vectorise.h"

#include "transpose.h"

#include "../../_base/isa.h"
#include "scalar.h"

#define SQ_SUFFIX scalar
#include "generic.h"

#if SQ_X86
SQ_TARGET_AVX2_BEGIN
#include "avx2.h"
#define SQ_SUFFIX avx2
#define SQ_REGISTER_BLOCKS
#include "generic.h"
SQ_TARGET_END

SQ_TARGET_AVX512VNNI_BEGIN
#define SQ_SUFFIX avx512vnni
#define SQ_REGISTER_BLOCKS
#include "generic.h"
SQ_TARGET_END
#endif

static void sq_gather_scalar(const void* job, long long begin, long long end) {
    const sq_gather_job j = *(const sq_gather_job*)job;
    for (long long item = begin; item < end; item++) {
        const int64_t given = sq_index_at(j.indices, j.index_bytes, item % j.count);
        const int64_t index = given < 0 ? given + j.dim : given;
        const char* x = (const char*)j.x + (item / j.count * j.dim + index) * j.slice_bytes;
        memcpy((char*)j.y + item * j.slice_bytes, x, (size_t)j.slice_bytes);
    }
}

/* With the size a constant, a row of a few bytes is one move instead of a call. */
static inline __attribute__((always_inline)) void copy_rows_of(const sq_rows* p, long long begin, long long end,
                                                               size_t bytes) {
    char* y = (char*)p->y + begin * p->y_pitch;
    const char* x = (const char*)p->x + begin * p->x_pitch;
#pragma GCC unroll 4
    for (; begin < end; begin++, y += p->y_pitch, x += p->x_pitch) memcpy(y, x, bytes);
}

static void copy_part(const sq_rows* p, long long begin, long long end) {
    switch (p->row_bytes) {
    case 1: copy_rows_of(p, begin, end, 1); break;
    case 2: copy_rows_of(p, begin, end, 2); break;
    case 4: copy_rows_of(p, begin, end, 4); break;
    case 8: copy_rows_of(p, begin, end, 8); break;
    case 12: copy_rows_of(p, begin, end, 12); break;
    case 16: copy_rows_of(p, begin, end, 16); break;
    default: copy_rows_of(p, begin, end, (size_t)p->row_bytes);
    }
}

/* Two parts of 4-byte rows that make up y: the compiler interleaves whole vectors. */
static int copy_pair(const sq_rows* p, long long begin, long long end) {
    if (p[0].row_bytes != 4 || p[1].row_bytes != 4 || p[0].x_pitch != 4 || p[1].x_pitch != 4 || p[0].y_pitch != 8 ||
        p[1].y_pitch != 8 || (char*)p[0].y + 4 != (char*)p[1].y)
        return 0;
    typedef uint32_t anywhere __attribute__((aligned(1), may_alias));
    const anywhere *first = (const anywhere*)p[0].x, *second = (const anywhere*)p[1].x;
    anywhere* restrict y = (anywhere*)p[0].y;
    for (long long i = begin; i < end; i++) {
        y[2 * i] = first[i];
        y[2 * i + 1] = second[i];
    }
    return 1;
}

/* Parts with short rows share cache lines: some rows of all of them, so that a line is complete before it leaves. */
static void sq_copy_rows_scalar(const void* job, long long begin, long long end) {
    const sq_copy_job j = *(const sq_copy_job*)job;
    long long pitch = 1;
    for (int i = 0; i < j.count; i++) {
        if (j.parts[i].x_pitch > pitch) pitch = j.parts[i].x_pitch;
        if (j.parts[i].y_pitch > pitch) pitch = j.parts[i].y_pitch;
    }
    const long long step = SQ_COPY_BLOCK / pitch + 1;
    for (long long stop; begin < end; begin = stop) {
        stop = sq_least(begin + step, end);
        for (int i = 0; i < j.count; i++) {
            if (i + 1 < j.count && copy_pair(&j.parts[i], begin, stop))
                i++;
            else
                copy_part(&j.parts[i], begin, stop);
        }
    }
}

const sq_row sq_transpose_rows[] = {
#include "kernels.inc"
};
const int sq_transpose_row_count = sizeof sq_transpose_rows / sizeof sq_transpose_rows[0];

/* Adds a dim of y, joined with the one before if they can be walked as one. Returns 0 if there is no room. */
static int sq_add_dim(sq_permute_job* job, int64_t dim, int64_t stride) {
    if (dim == 1) return 1;
    const int last = job->ndim - 1;
    if (last >= 0 && job->strides[last] == stride * dim) {
        job->dims[last] *= dim;
        job->strides[last] = stride;
        return 1;
    }
    if (job->ndim == SQ_PERMUTE_DIMS) return 0;
    job->dims[job->ndim] = dim;
    job->strides[job->ndim++] = stride;
    return 1;
}

/* One element has no dims left. */
static void sq_close_dims(sq_permute_job* job) {
    if (job->ndim > 0) return;
    job->dims[0] = job->strides[0] = 1;
    job->ndim = 1;
}

void sq_permute_prepare(sq_permute_job* job, int ndim, const int64_t* x_dims, const int* axes) {
    int64_t x_strides[SQ_PERMUTE_DIMS];
    int64_t stride = 1;
    for (int d = ndim - 1; d >= 0; d--) {
        x_strides[d] = stride;
        stride *= x_dims[d];
    }
    job->ndim = 0;
    for (int d = 0; d < ndim; d++) sq_add_dim(job, x_dims[axes[d]], x_strides[axes[d]]);
    sq_close_dims(job);
}

int sq_repeat_prepare(sq_permute_job* job, int ndim, const int64_t* x_dims, const int64_t* y_dims) {
    int64_t stride = 1;
    for (int d = 0; d < ndim; d++) stride *= x_dims[d];
    job->ndim = 0;
    for (int d = 0; d < ndim; d++) {
        stride /= x_dims[d];
        if (!sq_add_dim(job, y_dims[d] / x_dims[d], 0)) return 0;
        if (!sq_add_dim(job, x_dims[d], stride)) return 0;
    }
    sq_close_dims(job);
    return 1;
}

long long sq_gather_check(const void* indices, int index_bytes, long long count, long long lowest, long long dim) {
    for (long long i = 0; i < count; i++) {
        const int64_t index = sq_index_at(indices, index_bytes, i);
        if (index < lowest || index >= dim) return i;
    }
    return -1;
}
