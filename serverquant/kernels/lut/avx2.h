/* A byte shuffle looks 16 entries up, and gives 0 where the index has its top bit set. So for each sixteenth of the
 * table: bring its indices to 0x70..0x7f and all others past 0x7f, shuffle, and collect by or. */
static void sq_lut_u8_avx2(const void* job, long long begin, long long end) {
    const sq_lut_job* j = (const sq_lut_job*)job;
    const __m256i to_top = _mm256_set1_epi8(0x70), next = _mm256_set1_epi8(16);
    for (; begin + 32 <= end; begin += 32) {
        __m256i at = _mm256_loadu_si256((const __m256i*)(j->x + begin));
        __m256i found = _mm256_setzero_si256();
        for (int part = 0; part < 16; part++) {
            const __m128i entries = _mm_loadu_si128((const __m128i*)(j->table + 16 * part));
            const __m256i index = _mm256_adds_epu8(at, to_top);
            found = _mm256_or_si256(found, _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(entries), index));
            at = _mm256_sub_epi8(at, next);
        }
        _mm256_storeu_si256((__m256i*)(j->y + begin), found);
    }
    sq_lut_u8_scalar(job, begin, end);
}
