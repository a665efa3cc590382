/* The loops, written once and included for every instruction set with SQ_SUFFIX set: the compiler vectorises them.
 * A run of elements either meets neighbouring channels (inner = 1) or a single one. */
#define SQ_NAME(op) SQ_CONCAT(sq_##op, SQ_SUFFIX)

#define SQ_RUNS(each, one)                                                        \
    const sq_affine_job job = *(const sq_affine_job*)arg;                         \
    const sq_affine_job* j = &job;                                                \
    while (begin < end) {                                                         \
        const long long c = begin / j->inner % j->channels;                       \
        const long long left = j->inner == 1 ? j->channels - c : j->inner - begin % j->inner; \
        const long long n = left < end - begin ? left : end - begin;              \
        const uint8_t* a = j->a + begin;                                          \
        uint8_t* y = j->y + begin;                                                \
        if (j->inner == 1) {                                                      \
            _Pragma("GCC ivdep") for (long long i = 0; i < n; i++) y[i] = each;   \
        } else {                                                                  \
            _Pragma("GCC ivdep") for (long long i = 0; i < n; i++) y[i] = one;    \
        }                                                                         \
        begin += n;                                                               \
    }

static void SQ_NAME(mul_u8)(const void* arg, long long begin, long long end) {
    SQ_RUNS(sq_affine_mul(j, a[i], j->b[c + i]), sq_affine_mul(j, a[i], j->b[c]))
}

static void SQ_NAME(linear_u8)(const void* arg, long long begin, long long end) {
    SQ_RUNS(sq_affine_linear(j, a[i], j->b[c + i], j->bias[c + i]), sq_affine_linear(j, a[i], j->b[c], j->bias[c]))
}

static void SQ_NAME(norm_u8)(const void* arg, long long begin, long long end) {
    SQ_RUNS(sq_affine_norm(j, a[i], j->alpha[c + i], j->beta[c + i]), sq_affine_norm(j, a[i], j->alpha[c], j->beta[c]))
}

#undef SQ_RUNS
#undef SQ_NAME
#undef SQ_SUFFIX
