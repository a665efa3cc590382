#include "serverquant/vectorise.h"

#include "embedding.h"

#include "../../_base/isa.h"
#include "scalar.h"

/* Values of `bits` bits as floats, SQ_BAGS_BLOCK of them. */
SQ_INLINE void sq_unpack_scalar(int bits, const uint8_t* from, float* to) {
    const int each = bits <= 8 ? 8 / bits : 1, mask = (1 << (bits & 15)) - 1;
    for (int c = 0; c < SQ_BAGS_BLOCK; c++)
        to[c] = bits == 32   ? ((const float*)from)[c]
                : bits == 16 ? sq_from_half(((const uint16_t*)from)[c])
                             : (float)(from[c / each] >> c % each * bits & mask);
}

#define SQ_SUFFIX scalar
#define SQ_UNPACK sq_unpack_scalar
#include "generic.h"

#if SQ_X86
SQ_TARGET_AVX2_BEGIN
#include "avx2.h"
#define SQ_SUFFIX avx2
#define SQ_UNPACK sq_unpack_avx2
#include "generic.h"
SQ_TARGET_END

SQ_TARGET_AVX512VNNI_BEGIN
#include "avx512vnni.h"
#define SQ_SUFFIX avx512vnni
#define SQ_UNPACK sq_unpack_avx512vnni
#include "generic.h"
SQ_TARGET_END
#endif

const sq_row sq_embedding_rows[] = {
#include "kernels.inc"
};
const int sq_embedding_row_count = sizeof sq_embedding_rows / sizeof sq_embedding_rows[0];
