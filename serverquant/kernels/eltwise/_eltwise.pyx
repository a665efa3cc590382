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

    void sq_add_fast_prepare(sq_add_u8_job* job)
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


cdef range_fn add_u8_fast(sq_add_u8_job* job, const uint8_t* a, float a_scale, int a_zero_point, const uint8_t* b,
                          float b_scale, int b_zero_point, uint8_t* y, float y_scale, int y_zero_point, bint relu,
                          long long n) noexcept nogil:
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
    sq_add_fast_prepare(job)
    return ADD_U8_FAST[level()]


cdef range_fn sum_u8_slow(sq_sum_slow_job* job, const sq_slow_input* inputs, int count, float mid_scale,
                          int mid_zero_point, int bits, bint float_signed, uint8_t* y, float y_scale, int y_zero_point,
                          bint relu) noexcept nogil:
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
    return SUM_U8_SLOW[level()]


cdef range_fn add_u8_mobile(sq_add_mobile_job* job, const uint8_t* a, float a_scale, int a_zero_point, const uint8_t* b,
                            float b_scale, int b_zero_point, uint8_t* y, float y_scale, int y_zero_point,
                            bint relu) noexcept nogil:
    job.a = a
    job.b = b
    job.y = y
    job.y_zero_point = y_zero_point
    job.lo = y_zero_point if relu else 0
    if sq_add_mobile_prepare(job, a_scale, a_zero_point, b_scale, b_zero_point, y_scale) != 0:
        return NULL
    return ADD_U8_MOBILE[level()]


cdef void add_up(range_fn sum, const void* job, int count, long long n) noexcept nogil:
    parallel_range(sum, job, n, ALIGN, team_size(n * (2 * count if sum == SUM_U8_SLOW[level()] else 1)))


@cython.boundscheck(False)
def py_add_u8_fast(const uint8_t[::1] a, tuple a_q, const uint8_t[::1] b, tuple b_q, uint8_t[::1] y, tuple y_q,
                   bint relu) -> None:
    """Each `_q` is (scale, zero point)."""
    cdef sq_add_u8_job job
    cdef range_fn sum = add_u8_fast(&job, &a[0], a_q[0], a_q[1], &b[0], b_q[0], b_q[1], &y[0], y_q[0], y_q[1], relu,
                                    y.shape[0])
    add_up(sum, &job, 2, y.shape[0])


@cython.boundscheck(False)
def py_add_u8_mobile(const uint8_t[::1] a, tuple a_q, const uint8_t[::1] b, tuple b_q, uint8_t[::1] y, tuple y_q,
                     bint relu) -> bool:
    """Each `_q` is (scale, zero point). False when the scales are too far apart."""
    cdef sq_add_mobile_job job
    cdef range_fn sum = add_u8_mobile(&job, &a[0], a_q[0], a_q[1], &b[0], b_q[0], b_q[1], &y[0], y_q[0], y_q[1], relu)
    if sum == NULL:
        return False
    add_up(sum, &job, 2, y.shape[0])
    return True


@cython.boundscheck(False)
def py_sum_u8_slow(list inputs, tuple mid_q, int bits, bint float_signed, uint8_t[::1] y, tuple y_q,
                   bint relu) -> None:
    """`inputs`: (array uint8 or float32, scale, zero point, mid, post) each; mid = 0: not broadcast."""
    cdef sq_slow_input* native = <sq_slow_input*>malloc(len(inputs) * sizeof(sq_slow_input))
    cdef const uint8_t[::1] data
    cdef sq_sum_slow_job job
    cdef range_fn sum
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
        sum = sum_u8_slow(&job, native, len(inputs), mid_q[0], mid_q[1], bits, float_signed, &y[0], y_q[0], y_q[1], relu)
        add_up(sum, &job, len(inputs), y.shape[0])
    finally:
        free(native)
