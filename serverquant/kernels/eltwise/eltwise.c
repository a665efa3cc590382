#include "serverquant/vectorise.h"

#include "eltwise.h"

#include "../../_base/isa.h"
#include "scalar.h"

#define SQ_SUFFIX scalar
#include "generic.h"

#if SQ_X86
SQ_TARGET_AVX2_BEGIN
#include "avx2.h"
#define SQ_SUFFIX avx2
#define SQ_FAST_BLOCKS sq_fast_blocks_avx2
#include "generic.h"
SQ_TARGET_END

SQ_TARGET_AVX512VNNI_BEGIN
#include "avx512vnni.h"
#define SQ_SUFFIX avx512vnni
#define SQ_FAST_BLOCKS sq_fast_blocks_avx512vnni
#include "generic.h"
SQ_TARGET_END
#endif

const sq_row sq_eltwise_rows[] = {
#include "kernels.inc"
};
const int sq_eltwise_row_count = sizeof sq_eltwise_rows / sizeof sq_eltwise_rows[0];

void sq_add_fast_prepare(sq_add_u8_job* job) {
    job->offset = sq_fast_offset(job->a_scale, (float)job->a_zero_point, job->b_scale, (float)job->b_zero_point);
    job->inverse = 1.0f / job->y_scale;
}

int sq_add_mobile_prepare(sq_add_mobile_job* job, float a_scale, int32_t a_zero_point, float b_scale,
                          int32_t b_zero_point, float y_scale) {
    const float a = a_scale / y_scale, b = b_scale / y_scale;
    if (!(a >= 0x1p-14f && a < 0x1p8f && b >= 0x1p-14f && b < 0x1p8f)) return -1;
    int exponent; /* of the form 0.5 <= fraction < 1: one more than that of 1.xxx */
    frexpf(a > b ? a : b, &exponent);
    job->shift = 22 - exponent;
    job->a_multiplier = (int32_t)lrintf(ldexpf(a, job->shift));
    job->b_multiplier = (int32_t)lrintf(ldexpf(b, job->shift));
    if (job->shift > 31) { /* |acc| stays below half of 2^shift: everything rounds to the zero point */
        job->a_multiplier = job->b_multiplier = 0;
        job->shift = 31;
    }
    job->bias = -(job->a_multiplier * a_zero_point + job->b_multiplier * b_zero_point);
    return 0;
}
