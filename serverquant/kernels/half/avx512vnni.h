static void sq_from_f16_avx512vnni(const void* job, long long begin, long long end) {
    const sq_half_job* j = (const sq_half_job*)job;
    for (; begin + 16 <= end; begin += 16) {
        const __m256i h = _mm256_loadu_si256((const __m256i*)((const uint16_t*)j->x + begin));
        _mm512_storeu_ps((float*)j->y + begin, _mm512_cvtph_ps(h));
    }
    sq_from_f16_scalar(job, begin, end);
}

static void sq_to_f16_avx512vnni(const void* job, long long begin, long long end) {
    const sq_half_job* j = (const sq_half_job*)job;
    for (; begin + 16 <= end; begin += 16) {
        const __m256i h = _mm512_cvtps_ph(_mm512_loadu_ps((const float*)j->x + begin), _MM_FROUND_TO_NEAREST_INT);
        _mm256_storeu_si256((__m256i*)((uint16_t*)j->y + begin), h);
    }
    sq_to_f16_scalar(job, begin, end);
}
