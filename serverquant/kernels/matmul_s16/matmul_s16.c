#include "serverquant/vectorise.h"

#include "matmul_s16.h"

#include "../../_base/isa.h"
#include "serverquant/convert.h"

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

const sq_row sq_matmul_s16_rows[] = {
#include "kernels.inc"
};
const int sq_matmul_s16_row_count = sizeof sq_matmul_s16_rows / sizeof sq_matmul_s16_rows[0];
