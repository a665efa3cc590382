/* AVX2 body that beats the compiler's. A comparison with NaN yields the second operand: NaN is passed over. */

/* Lowers lo[k] and raises hi[k], k < 8, over whole steps of 32 floats; returns how many floats that was. */
static long long sq_min_max_steps_avx2(const float* x, long long n, float* lo, float* hi) {
    __m256 least[4], most[4];
    for (int k = 0; k < 4; k++) least[k] = most[k] = _mm256_set1_ps(lo[0]);
    long long i = 0;
    for (; i + 32 <= n; i += 32)
        for (int k = 0; k < 4; k++) {
            const __m256 v = _mm256_loadu_ps(x + i + 8 * k);
            least[k] = _mm256_min_ps(v, least[k]);
            most[k] = _mm256_max_ps(v, most[k]);
        }
    for (int k = 1; k < 4; k++) {
        least[0] = _mm256_min_ps(least[k], least[0]);
        most[0] = _mm256_max_ps(most[k], most[0]);
    }
    _mm256_storeu_ps(lo, least[0]);
    _mm256_storeu_ps(hi, most[0]);
    return i;
}
