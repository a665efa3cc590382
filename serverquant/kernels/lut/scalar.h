/* The definition; the vector rows take their last bytes from here. */
static void sq_lut_u8_scalar(const void* job, long long begin, long long end) {
    const sq_lut_job j = *(const sq_lut_job*)job;
    for (long long i = begin; i < end; i++) j.y[i] = j.table[j.x[i]];
}
