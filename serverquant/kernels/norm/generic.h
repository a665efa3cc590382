/* The loops, written once and included for every instruction set with SQ_SUFFIX set: the compiler vectorises them. */
#define SQ_NAME(op) SQ_CONCAT(sq_##op, SQ_SUFFIX)

static void SQ_NAME(affine_nchw_f32)(const void* job, long long begin, long long end) {
    const sq_affine_job j = *(const sq_affine_job*)job;
    for (long long plane = begin; plane < end; plane++) {
        const float* x = j.x + plane * j.inner;
        float* y = j.y + plane * j.inner;
        const float alpha = j.alpha[plane % j.channels], beta = j.beta[plane % j.channels];
#pragma GCC ivdep
        for (long long i = 0; i < j.inner; i++) y[i] = sq_affine(x[i], alpha, beta);
    }
}

static void SQ_NAME(affine_nhwc_f32)(const void* job, long long begin, long long end) {
    const sq_affine_job j = *(const sq_affine_job*)job;
    for (long long pixel = begin; pixel < end; pixel++) {
        const float* x = j.x + pixel * j.channels;
        float* y = j.y + pixel * j.channels;
#pragma GCC ivdep
        for (long long c = 0; c < j.channels; c++) y[c] = sq_affine(x[c], j.alpha[c], j.beta[c]);
    }
}

#undef SQ_NAME
#undef SQ_SUFFIX
