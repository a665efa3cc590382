/* The definition: every other row gives these bytes. A "vector" is one float. */
#define SQ_V float
#define SQ_LANES 1
#define SQ_ZERO() 0.0f
#define SQ_LOAD(p) (*(p))
#define SQ_STORE(p, v) (*(p) = (v))
#define SQ_STORE_PART(p, v, count) (*(p) = (v))
#define SQ_SPREAD(p) (*(p))
#define SQ_FMA(a, b, c) fmaf(a, b, c)
#define SQ_ADD(a, b) ((a) + (b))
#define SQ_CLIP(v, lo, hi) sq_clip(v, lo, hi)
#define SQ_MASK int
#define SQ_MASK_OF(first, last) ((first) < (last))
#define SQ_LOAD_MASKED(p, mask) ((mask) ? *(p) : 0.0f)
#define SQ_EVEN(a, b) ((void)(b), a)
#define SQ_NAME(suffix) sq_depthwise_f32_scalar##suffix
#include "depthwise_generic.h"
