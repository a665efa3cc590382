/* The definition: every other row gives these bytes. A "vector" is one element. */
static inline float sq_pool_clamp(float v, float low) {
    float raised = v > low ? v : low;
    return raised < 255.0f ? raised : 255.0f;
}
#define SQ_V float
#define SQ_LANES 1
#define SQ_SPREAD(x) (x)
#define SQ_LOAD(p) (*(p))
#define SQ_STORE(p, v, count) ((void)(count), *(p) = (v))
#define SQ_MAX(x, acc) ((x) > (acc) ? (x) : (acc))
#define SQ_ADD(a, b) ((a) + (b))
#define SQ_MUL(a, b) ((a) * (b))
#define SQ_FMA(a, b, c) fmaf(a, b, c)
#define SQ_CLAMP(v, low) sq_pool_clamp(v, low)
#define SQ_I int32_t
#define SQ_I_ZERO() 0
#define SQ_I_LOAD(p) (*(p))
#define SQ_I_SPREAD(x) (x)
#define SQ_I_STORE(p, v, count) ((void)(count), *(p) = (v))
#define SQ_I_ADD(a, b) ((a) + (b))
#define SQ_I_SUB(a, b) ((a) - (b))
#define SQ_I_BYTES(p) ((int32_t) * (p))
#define SQ_TO_FLOAT(i) ((float)(i))
#define SQ_STORE_ROUNDED(p, v, count) ((void)(count), *(p) = (uint8_t)rintf(v))
#define SQ_B uint8_t
#define SQ_B_LANES 1
#define SQ_B_SPREAD(x) ((uint8_t)(x))
#define SQ_B_LOAD(p) (*(p))
#define SQ_B_STORE(p, v, count) ((void)(count), *(p) = (v))
#define SQ_B_MAX(a, b) ((a) > (b) ? (a) : (b))
#define SQ_NAME(suffix) sq_pool_scalar##suffix
#include "generic.h"
