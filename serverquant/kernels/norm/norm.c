#include "serverquant/vectorise.h"

#include "norm.h"

#include <string.h>

#include "../../_base/isa.h"
#include "scalar.h"

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

const sq_row sq_norm_rows[] = {
#include "kernels.inc"
};
const int sq_norm_row_count = sizeof sq_norm_rows / sizeof sq_norm_rows[0];

void sq_fold_norm(const float* scale, const float* bias, const float* mean, const float* var, float epsilon,
                  long long channels, float* alpha, float* beta) {
    for (long long c = 0; c < channels; c++) {
        const float root = sqrtf(var[c] + epsilon);
        alpha[c] = scale[c] / root;
        const float shift = alpha[c] * mean[c];
        beta[c] = bias[c] - shift;
    }
}
