#include "half.h"

#include "../../_base/isa.h"
#include "scalar.h"

#if SQ_X86
SQ_TARGET_AVX2_BEGIN
#include "avx2.h"
SQ_TARGET_END

SQ_TARGET_AVX512VNNI_BEGIN
#include "avx512vnni.h"
SQ_TARGET_END
#endif

const sq_row sq_half_rows[] = {
#include "kernels.inc"
};
const int sq_half_row_count = sizeof sq_half_rows / sizeof sq_half_rows[0];
