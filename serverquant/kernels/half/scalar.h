static void sq_from_f16_scalar(const void* job, long long begin, long long end) {
    const sq_half_job j = *(const sq_half_job*)job;
    for (long long i = begin; i < end; i++) ((float*)j.y)[i] = sq_from_half(((const uint16_t*)j.x)[i]);
}

static void sq_to_f16_scalar(const void* job, long long begin, long long end) {
    const sq_half_job j = *(const sq_half_job*)job;
    for (long long i = begin; i < end; i++) ((uint16_t*)j.y)[i] = sq_to_half(((const float*)j.x)[i]);
}
