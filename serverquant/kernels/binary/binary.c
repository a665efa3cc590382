#include "serverquant/vectorise.h"

#include "binary.h"

#include "../../_base/isa.h"
#include "serverquant/elementary.h"

#define SQ_SUFFIX scalar
#include "generic.h"

#if SQ_X86
SQ_TARGET_AVX2_BEGIN
#define SQ_SUFFIX avx2
#include "generic.h"
SQ_TARGET_END

SQ_TARGET_AVX512VNNI_BEGIN
#define SQ_SUFFIX avx512vnni
#include "generic.h"
SQ_TARGET_END
#endif

const sq_row sq_binary_rows[] = {
#include "kernels.inc"
};
const int sq_binary_row_count = sizeof sq_binary_rows / sizeof sq_binary_rows[0];

static int sq_joins(const int64_t* strides, const int64_t* dims, int inner) {
    return strides[inner - 1] == strides[inner] * dims[inner];
}

void sq_collapse(sq_binary_job* job) {
    int kept = 0;
    for (int d = 0; d < job->ndim; d++) {
        if (job->dims[d] == 1) continue;
        job->dims[kept] = job->dims[d];
        job->a_strides[kept] = job->a_strides[d];
        job->b_strides[kept] = job->b_strides[d];
        kept++;
        const int last = kept - 1;
        if (last > 0 && sq_joins(job->a_strides, job->dims, last) && sq_joins(job->b_strides, job->dims, last)) {
            kept = last;
            job->dims[kept - 1] *= job->dims[kept];
            job->a_strides[kept - 1] = job->a_strides[kept];
            job->b_strides[kept - 1] = job->b_strides[kept];
        }
    }
    if (job->ndim == 0) job->a_strides[0] = job->b_strides[0] = 0;
    if (kept == 0) job->dims[0] = kept = 1; /* one element */
    job->ndim = kept;
}
