"""Sums of int8 arrays. See eltwise.h for each formula.

The `py_` functions run the same code on arrays, for tests and tools; the arrays must be contiguous and fit together.
Bounds are not checked there in any build: the address of an empty array's first element is taken, never read.
"""
cimport cython
from libc.stdint cimport int32_t, uint8_t
from libc.stdlib cimport free, malloc

from serverquant._base._isa cimport level
from serverquant._base._threads cimport parallel_range, range_fn, team_size
from serverquant.kernels._rows cimport fill_levels, row_objects, sq_row

cdef extern from "eltwise.h" nogil:
    const sq_row* sq_eltwise_rows
    const int sq_eltwise_row_count

    ctypedef struct sq_add_u8_job:
        const uint8_t* a
        const uint8_t* b
        uint8_t* y
        long long n
        float a_scale
        float b_scale
        float y_scale
        int32_t a_zero_point
        int32_t b_zero_point
        int32_t y_zero_point
        int32_t lo

    ctypedef struct sq_sum_slow_job:
        const sq_slow_input* inputs
        int count
        uint8_t* y
        float mid_scale
        float y_scale
        int32_t mid_zero_point
        int32_t y_zero_point
        int32_t bits
        int32_t float_lo
        int32_t float_hi
        int32_t lo

    int sq_add_mobile_prepare(sq_add_mobile_job* job, float a_scale, int32_t a_zero_point, float b_scale,
                              int32_t b_zero_point, float y_scale)

# Inner borders of ranges: whole blocks of the fast sum, and whole cache lines of bytes.
cdef enum:
    ALIGN = 64

cdef range_fn[3] ADD_U8_FAST, SUM_U8_SLOW, ADD_U8_MOBILE


cdef int _choose_rows() except -1:
    cdef const sq_row* rows = sq_eltwise_rows
    cdef int count = sq_eltwise_row_count
    fill_levels(ADD_U8_FAST, rows, count, b"add_u8_fast")
    fill_levels(SUM_U8_SLOW, rows, count, b"sum_u8_slow")
    fill_levels(ADD_U8_MOBILE, rows, count, b"add_u8_mobile")
    return 0


_choose_rows()


def rows() -> list:
    """The kernel table, fastest first for each op."""
    return row_objects("eltwise", sq_eltwise_rows, sq_eltwise_row_count)


cdef void add_u8_fast(const uint8_t* a, float a_scale, int a_zero_point, const uint8_t* b, float b_scale,
                      int b_zero_point, uint8_t* y, float y_scale, int y_zero_point, bint relu,
                      long long n) noexcept nogil:
    cdef sq_add_u8_job job
    job.a = a
    job.b = b
    job.y = y
    job.n = n
    job.a_scale = a_scale
    job.b_scale = b_scale
    job.y_scale = y_scale
    job.a_zero_point = a_zero_point
    job.b_zero_point = b_zero_point
    job.y_zero_point = y_zero_point
    job.lo = y_zero_point if relu else 0
    parallel_range(ADD_U8_FAST[level()], &job, n, ALIGN, team_size(n))


cdef void sum_u8_slow(const sq_slow_input* inputs, int count, float mid_scale, int mid_zero_point, int bits,
                      bint float_signed, uint8_t* y, float y_scale, int y_zero_point, bint relu,
                      long long n) noexcept nogil:
    cdef sq_sum_slow_job job
    job.inputs = inputs
    job.count = count
    job.y = y
    job.mid_scale = mid_scale
    job.y_scale = y_scale
    job.mid_zero_point = mid_zero_point
    job.y_zero_point = y_zero_point
    job.bits = bits
    job.float_lo = -(1 << (bits - 1)) if float_signed else 0
    job.float_hi = (1 << (bits - float_signed)) - 1
    job.lo = y_zero_point if relu else 0
    parallel_range(SUM_U8_SLOW[level()], &job, n, ALIGN, team_size(n * count * 2))


cdef int add_u8_mobile_prepare(sq_add_mobile_job* job, float a_scale, int a_zero_point, float b_scale,
                               int b_zero_point, float y_scale, int y_zero_point, bint relu) noexcept nogil:
    job.y_zero_point = y_zero_point
    job.lo = y_zero_point if relu else 0
    return sq_add_mobile_prepare(job, a_scale, a_zero_point, b_scale, b_zero_point, y_scale)


cdef void add_u8_mobile(sq_add_mobile_job* job, const uint8_t* a, const uint8_t* b, uint8_t* y,
                        long long n) noexcept nogil:
    job.a = a
    job.b = b
    job.y = y
    parallel_range(ADD_U8_MOBILE[level()], job, n, ALIGN, team_size(n))


@cython.boundscheck(False)
def py_add_u8_fast(const uint8_t[::1] a, tuple a_q, const uint8_t[::1] b, tuple b_q, uint8_t[::1] y, tuple y_q,
                   bint relu) -> None:
    """Each `_q` is (scale, zero point)."""
    add_u8_fast(&a[0], a_q[0], a_q[1], &b[0], b_q[0], b_q[1], &y[0], y_q[0], y_q[1], relu, y.shape[0])


@cython.boundscheck(False)
def py_add_u8_mobile(const uint8_t[::1] a, tuple a_q, const uint8_t[::1] b, tuple b_q, uint8_t[::1] y, tuple y_q,
                     bint relu) -> bool:
    """Each `_q` is (scale, zero point). False when the scales are too far apart."""
    cdef sq_add_mobile_job job
    if add_u8_mobile_prepare(&job, a_q[0], a_q[1], b_q[0], b_q[1], y_q[0], y_q[1], relu):
        return False
    add_u8_mobile(&job, &a[0], &b[0], &y[0], y.shape[0])
    return True


@cython.boundscheck(False)
def py_sum_u8_slow(list inputs, tuple mid_q, int bits, bint float_signed, uint8_t[::1] y, tuple y_q,
                   bint relu) -> None:
    """`inputs`: (array uint8 or float32, scale, zero point, mid, post) each; mid = 0: not broadcast."""
    cdef sq_slow_input* native = <sq_slow_input*>malloc(len(inputs) * sizeof(sq_slow_input))
    cdef const uint8_t[::1] data
    cdef int i
    if native == NULL:
        raise MemoryError
    try:
        for i, (array, scale, zero_point, mid, post) in enumerate(inputs):
            data = array.view("uint8")
            native[i].data = &data[0]
            native[i].is_float = array.dtype == "float32"
            native[i].scale = scale
            native[i].zero_point = zero_point
            native[i].mid = mid
            native[i].post = post
        sum_u8_slow(native, len(inputs), mid_q[0], mid_q[1], bits, float_signed, &y[0], y_q[0], y_q[1], relu,
                    y.shape[0])
    finally:
        free(native)
