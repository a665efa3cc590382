#include "serverquant/vectorise.h"

#include "segment.h"

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

const sq_row sq_segment_rows[] = {
#include "kernels.inc"
};
const int sq_segment_row_count = sizeof sq_segment_rows / sizeof sq_segment_rows[0];
