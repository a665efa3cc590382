from libc.stdint cimport int8_t, int32_t, int64_t, uint8_t

from serverquant._base._threads cimport range_fn

cdef extern from "../kernels/gemm/gemm.h" nogil:
    enum:
        SQ_REQUANT_F32
        SQ_REQUANT_Q31
        SQ_RAW_S32
        SQ_DEQUANT_F32

    # See gemm.h for what each field means.
    ctypedef struct sq_epilogue:
        int32_t kind, per_column
        const int32_t* bias
        const float* multiplier
        const float* bias_f32
        int32_t zero_point, lo, hi
        int32_t q31_multiplier, q31_shift
        int32_t relu
        range_fn after
        const void* after_job

    ctypedef struct sq_extra:
        int32_t k, vector

    ctypedef struct sq_packed:
        const int8_t* data
        const int32_t* zero_points
        int32_t uniform
        const sq_extra* extras
        const int32_t* extra_begin
        const int8_t* extra_data
        int64_t group_bytes
        int32_t row, groups, n, taps, kc, depthwise, depth

    ctypedef struct sq_source:
        void (*fill)(const sq_source*, int64_t, int64_t, int32_t, const uint8_t**, uint8_t*) noexcept nogil
        int32_t copies
        int64_t (*run)(const sq_source*, int64_t, int64_t, const uint8_t**) noexcept nogil
        int64_t step

    ctypedef struct sq_gemm_job:
        const sq_packed* packed
        const sq_epilogue* ep
        const sq_source* source
        void* c
        int64_t m, ldc

    int64_t sq_job_scratch(const sq_packed* w, int copies)


cdef class PackedWeight:
    cdef sq_packed raw                  # for kernels: &packed.raw lives as long as the object
    cdef readonly int n                 # columns (output channels) of one group
    cdef readonly int k                 # taps * channels of one group
    cdef readonly int groups
    cdef readonly int merged            # neighbouring groups that are computed as one
    cdef readonly object column_sums    # int32 [groups * n]
    cdef readonly object zero_points    # int32 [groups * n]
    cdef readonly bint has_zero_points  # any is not 0: row sums are computed
    cdef readonly str row               # of the kernel table
    cdef readonly str isa               # the row's instruction set
    cdef list _buffers                  # what raw points to


# y[m, groups * n] = epilogue(a[m, groups * k]). Threads split rows and panels; no scratch. Always returns 0.
cdef int gemm_u8(const uint8_t* a, int64_t m, int64_t lda, const sq_packed* packed, const sq_epilogue* ep, void* c,
                 int64_t ldc) noexcept nogil

# The same for rows found by job.source. `slots` blocks of sq_job_scratch() bytes each, aligned to 64: at most so many
# threads. `team` threads are wanted.
cdef int gemm_job(const sq_gemm_job* job, uint8_t* scratch, int slots, int team) noexcept nogil

# Threads that are worth waking for m rows.
cdef int gemm_team(const sq_packed* packed, int64_t m) noexcept nogil


# The folded row of `fold()` into out[groups * n]; bias may be NULL.
cdef int fold_into(PackedWeight packed, int32_t x_zero_point, const int32_t* bias, int32_t* out) except -1


cdef class Epilogue:
    cdef sq_epilogue raw
    cdef readonly str kind
    cdef object _bias, _multiplier, _bias_f32


# Checks weights [groups * n, k] and fills what fold() needs. Returns them in C order.
cdef object describe_weights(PackedWeight packed, weights, int groups, int taps, zero_point)
