static void sq_from_f16_avx2(const void* job, long long begin, long long end) {
    const sq_half_job* j = (const sq_half_job*)job;
    for (; begin + 8 <= end; begin += 8) {
        const __m128i h = _mm_loadu_si128((const __m128i*)((const uint16_t*)j->x + begin));
        _mm256_storeu_ps((float*)j->y + begin, _mm256_cvtph_ps(h));
    }
    sq_from_f16_scalar(job, begin, end);
}

static void sq_to_f16_avx2(const void* job, long long begin, long long end) {
    const sq_half_job* j = (const sq_half_job*)job;
    for (; begin + 8 <= end; begin += 8) {
        const __m128i h = _mm256_cvtps_ph(_mm256_loadu_ps((const float*)j->x + begin), _MM_FROUND_TO_NEAREST_INT);
        _mm_storeu_si128((__m128i*)((uint16_t*)j->y + begin), h);
    }
    sq_to_f16_scalar(job, begin, end);
}
