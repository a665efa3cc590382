/* Few outputs for many rows, as a net's last score: vectors hold rows of A, turned in registers, instead of columns of B.
 * The chains are those of the tile. Serves both x86 levels: memory, not the width of a vector, is the limit.
 */
#include "../transpose/turn4.h"

#define SQ_UNROLLED _Pragma("GCC unroll 4")
enum { SQ_NARROW_LINE = 16 /* columns of A, in one line of the cache */ };

/* 8 rows of A, `count` <= 4 of the four columns there, times as many rows of B. */
SQ_INLINE void sq_f32_narrow_step(const float* a, int64_t lda, const float* b, int64_t ldb, int count, __m256* acc,
                                  const int n) {
    __m256i columns[4];
    sq_half_4((const uint32_t*)a, lda, columns);
    SQ_UNROLLED for (int i = 0; i < count; i++)
        SQ_UNROLLED for (int j = 0; j < n; j++)
            acc[j] = _mm256_fmadd_ps(_mm256_castsi256_ps(columns[i]), _mm256_broadcast_ss(b + i * ldb + j), acc[j]);
}

/* 8 rows of A, up to the end of a line: `kc` columns. */
SQ_INLINE void sq_f32_narrow_rest(const float* a, int64_t lda, const float* b, int64_t ldb, int64_t kc, __m256* acc,
                                  const int n) {
    for (int64_t k = 0; k < kc; k += 4) {
        const int count = (int)sq_f32_min(kc - k, 4);
        float four[8 * 4] = {0};
        for (int r = 0; r < 8; r++)
            for (int i = 0; i < count; i++) four[r * 4 + i] = a[r * lda + k + i];
        sq_f32_narrow_step(four, 4, b + k * ldb, ldb, count, acc, n);
    }
}

/* Lines of rows that lie a power of two apart drive each other out of the first-level cache: one of each row is used up
 * at once, for no more rows than needed to overlap the chains. */
SQ_INLINE void sq_f32_narrow_body(const sq_f32_narrow* t, const int n) {
    enum { EIGHTS = SQ_F32_NARROW_ROWS / 8 };
    __m256 acc[EIGHTS][SQ_F32_NARROW_COLUMNS];
    SQ_UNROLLED for (int e = 0; e < EIGHTS; e++)
        SQ_UNROLLED for (int j = 0; j < n; j++) acc[e][j] = _mm256_setzero_ps();
    const float *a = t->a, *b = t->b;
    int64_t left = t->k;
    for (; left >= SQ_NARROW_LINE; left -= SQ_NARROW_LINE, a += SQ_NARROW_LINE, b += SQ_NARROW_LINE * t->ldb) {
        SQ_UNROLLED for (int e = 0; e < EIGHTS; e++)
            SQ_UNROLLED for (int k = 0; k < SQ_NARROW_LINE; k += 4)
                sq_f32_narrow_step(a + e * 8 * t->lda + k, t->lda, b + k * t->ldb, t->ldb, 4, acc[e], n);
    }
    SQ_UNROLLED for (int e = 0; e < EIGHTS; e++)
        sq_f32_narrow_rest(a + e * 8 * t->lda, t->lda, b, t->ldb, left, acc[e], n);
    float sums[8];
    SQ_UNROLLED for (int e = 0; e < EIGHTS; e++)
        SQ_UNROLLED for (int j = 0; j < n; j++) {
            __m256 v = acc[e][j];
            if (t->bias) v = _mm256_add_ps(v, _mm256_broadcast_ss(t->bias + j));
            if (t->bounds)
                v = _mm256_min_ps(_mm256_set1_ps(t->bounds->hi), _mm256_max_ps(_mm256_set1_ps(t->bounds->lo), v));
            _mm256_storeu_ps(sums, v);
            for (int r = 0; r < 8; r++) t->c[(e * 8 + r) * t->ldc + j] = sums[r];
        }
}

static void sq_f32_narrow_avx2(const sq_f32_narrow* t) {
    switch (t->n) {
    case 1: sq_f32_narrow_body(t, 1); break;
    case 2: sq_f32_narrow_body(t, 2); break;
    case 3: sq_f32_narrow_body(t, 3); break;
    default: sq_f32_narrow_body(t, 4);
    }
}
#undef SQ_UNROLLED
