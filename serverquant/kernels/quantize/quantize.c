#include "serverquant/vectorise.h"

#include "quantize.h"

#include "../../_base/isa.h"
#include "../gemm/epilogue.h"
#include "scalar.h"

#define SQ_SUFFIX scalar
#include "generic.h"

#if SQ_X86
SQ_TARGET_AVX2_BEGIN
#include "avx2.h"
#define SQ_SUFFIX avx2
#define SQ_MIN_MAX_STEPS sq_min_max_steps_avx2
#include "generic.h"
SQ_TARGET_END

SQ_TARGET_AVX512VNNI_BEGIN
#define SQ_SUFFIX avx512vnni
#define SQ_MIN_MAX_STEPS sq_min_max_steps_avx2
#include "generic.h"
SQ_TARGET_END
#endif

const sq_row sq_quantize_rows[] = {
#include "kernels.inc"
};
const int sq_quantize_row_count = sizeof sq_quantize_rows / sizeof sq_quantize_rows[0];
