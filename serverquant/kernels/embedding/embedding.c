#include "serverquant/vectorise.h"

#include "embedding.h"

#include "../../_base/isa.h"
#include "scalar.h"

/* 16 values of `bits` bits as floats. */
SQ_INLINE void sq_unpack_scalar(int bits, const uint8_t* from, float* to) {
    const int each = bits <= 8 ? 8 / bits : 1, mask = (1 << (bits & 15)) - 1;
    for (int c = 0; c < 16; c++)
        to[c] = bits == 32   ? ((const float*)from)[c]
                : bits == 16 ? sq_from_half(((const uint16_t*)from)[c])
                             : (float)(from[c / each] >> c % each * bits & mask);
}

/* give(parts, ...) for each number of parts that an instruction set has registers for. */
#define SQ_UP_TO_1(give, ...) give(1, __VA_ARGS__)
#define SQ_UP_TO_4(give, ...) \
    SQ_UP_TO_1(give, __VA_ARGS__) give(2, __VA_ARGS__) give(3, __VA_ARGS__) give(4, __VA_ARGS__)
#define SQ_UP_TO_8(give, ...) \
    SQ_UP_TO_4(give, __VA_ARGS__) give(5, __VA_ARGS__) give(6, __VA_ARGS__) give(7, __VA_ARGS__) give(8, __VA_ARGS__)

#define SQ_SUFFIX scalar
#define SQ_UNPACK sq_unpack_scalar
#define SQ_TWO_HALVES sq_two_halves_scalar
#define SQ_PARTS 1
#define SQ_V float
#define SQ_V_SET(x) (x)
#define SQ_V_SAME(p) sq_float_at(p)
#define SQ_V_ADD(a, b) ((a) + (b))
#define SQ_V_MUL(a, b) ((a) * (b))
#define SQ_V_FMA(a, b, c) fmaf(a, b, c)
#define SQ_V_STORE(p, v) (*(p) = (v))
#include "generic.h"

#if SQ_X86
SQ_TARGET_AVX2_BEGIN
#include "avx2.h"
#define SQ_SUFFIX avx2
#define SQ_UNPACK sq_unpack_avx2
#define SQ_TWO_HALVES sq_two_halves_avx2
#define SQ_PARTS 4
#define SQ_V __m256
#define SQ_V_SET _mm256_set1_ps
#define SQ_V_SAME(p) _mm256_broadcast_ss((const float*)(p))
#define SQ_V_ADD _mm256_add_ps
#define SQ_V_MUL _mm256_mul_ps
#define SQ_V_FMA _mm256_fmadd_ps
#define SQ_V_STORE _mm256_storeu_ps
#include "generic.h"
SQ_TARGET_END

SQ_TARGET_AVX512VNNI_BEGIN
#include "avx512vnni.h"
#define SQ_SUFFIX avx512vnni
#define SQ_UNPACK sq_unpack_avx512vnni
#define SQ_TWO_HALVES sq_two_halves_avx512vnni
#define SQ_PARTS 8
#define SQ_V __m512
#define SQ_V_SET _mm512_set1_ps
#define SQ_V_SAME(p) _mm512_broadcastss_ps(_mm_load_ss((const float*)(p)))
#define SQ_V_ADD _mm512_add_ps
#define SQ_V_MUL _mm512_mul_ps
#define SQ_V_FMA _mm512_fmadd_ps
#define SQ_V_STORE _mm512_storeu_ps
#include "generic.h"
SQ_TARGET_END
#endif

void sq_bags_prepare(sq_bags_job* j, int bits, long long indices, void* scratch) {
    const long long reach = sq_bags_reach(j, bits), bytes = j->rows * j->stride;
    const long long whole = bytes < reach ? 0 : (bytes - reach) / (j->stride ? j->stride : 1) + 1;
    j->found = (const uint8_t**)scratch, j->edge = NULL, j->aside = 0;
    if (whole >= j->rows) return;
    uint8_t* copy = (uint8_t*)(j->found + indices);
    j->edge = (const uint8_t*)j->table + whole * j->stride;
    j->aside = copy - j->edge;
    memcpy(copy, j->edge, bytes - whole * j->stride);
    memset(copy + bytes - whole * j->stride, 0, reach);
}

const sq_row sq_embedding_rows[] = {
#include "kernels.inc"
};
const int sq_embedding_row_count = sizeof sq_embedding_rows / sizeof sq_embedding_rows[0];
