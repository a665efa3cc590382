/* The definition: every other row gives these bytes. A "vector" is one float. */
#define SQ_V float
#define SQ_LANES 1
#define SQ_ZERO() 0.0f
#define SQ_LOAD(p) (*(p))
#define SQ_STORE(p, v) (*(p) = (v))
#define SQ_STREAM(p, v) (*(p) = (v))
#define SQ_LOAD_PART(p, count) (*(p))
#define SQ_STORE_PART(p, v, count) (*(p) = (v))
#define SQ_SPREAD(p) (*(p))
#define SQ_FMA(a, b, c) fmaf(a, b, c)
#define SQ_ADD(a, b) ((a) + (b))
#define SQ_CLIP(v, lo, hi) sq_clip(v, lo, hi)
#define SQ_MR 2
#define SQ_NV 4
#define SQ_NAME(suffix) sq_gemm_f32_2x4_scalar##suffix
#include "generic.h"
