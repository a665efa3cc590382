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
        const int64_t index = sq_index_at(j.indices, j.index_bytes, item % j.count);
        const char* x = (const char*)j.x + (item / j.count * j.dim + index) * j.slice_bytes;
        memcpy((char*)j.y + item * j.slice_bytes, x, (size_t)j.slice_bytes);
    }
}

static void sq_copy_rows_scalar(const void* job, long long begin, long long end) {
    const sq_copy_job j = *(const sq_copy_job*)job;
    for (long long item = begin; item < end; item++)
        memcpy((char*)j.y + item * j.y_pitch, (const char*)j.x + item * j.x_pitch, (size_t)j.row_bytes);
}

const sq_row sq_transpose_rows[] = {
#include "kernels.inc"
};
const int sq_transpose_row_count = sizeof sq_transpose_rows / sizeof sq_transpose_rows[0];

void sq_permute_prepare(sq_permute_job* job, int ndim, const int64_t* x_dims, const int* axes) {
    int64_t x_strides[SQ_PERMUTE_DIMS];
    int64_t stride = 1;
    for (int d = ndim - 1; d >= 0; d--) {
        x_strides[d] = stride;
        stride *= x_dims[d];
    }
    int kept = 0;
    for (int d = 0; d < ndim; d++) {
        const int64_t dim = x_dims[axes[d]];
        if (dim == 1) continue;
        if (kept > 0 && job->strides[kept - 1] == x_strides[axes[d]] * dim) {
            job->dims[kept - 1] *= dim;
            job->strides[kept - 1] = x_strides[axes[d]];
        } else {
            job->dims[kept] = dim;
            job->strides[kept++] = x_strides[axes[d]];
        }
    }
    if (kept == 0) { /* one element */
        job->dims[0] = job->strides[0] = 1;
        kept = 1;
    }
    job->ndim = kept;
}

long long sq_gather_check(const void* indices, int index_bytes, long long count, long long dim) {
    for (long long i = 0; i < count; i++) {
        const int64_t index = sq_index_at(indices, index_bytes, i);
        if (index < 0 || index >= dim) return i;
    }
    return -1;
}
