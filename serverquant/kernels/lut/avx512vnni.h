/* As in avx2.h. */
static void sq_lut_u8_avx512vnni(const void* job, long long begin, long long end) {
    const sq_lut_job* j = (const sq_lut_job*)job;
    const __m512i to_top = _mm512_set1_epi8(0x70), next = _mm512_set1_epi8(16);
    for (; begin + 64 <= end; begin += 64) {
        __m512i at = _mm512_loadu_si512(j->x + begin);
        __m512i found = _mm512_setzero_si512();
        for (int part = 0; part < 16; part++) {
            const __m128i entries = _mm_loadu_si128((const __m128i*)(j->table + 16 * part));
            const __m512i index = _mm512_adds_epu8(at, to_top);
            found = _mm512_or_si512(found, _mm512_shuffle_epi8(_mm512_broadcast_i32x4(entries), index));
            at = _mm512_sub_epi8(at, next);
        }
        _mm512_storeu_si512(j->y + begin, found);
    }
    sq_lut_u8_scalar(job, begin, end);
}
