"""Quantize, dequantize, requantize, and the range of a float array. See quantize.h for each formula.

The `py_` functions run the same code on arrays, for tests and tools; arrays must be contiguous and of equal length.
Bounds are not checked there in any build: the address of an empty array's first element is taken, never read.
"""
cimport cython
from libc.stdint cimport int8_t, int16_t, int32_t, uint8_t, uint16_t

from serverquant._base._isa cimport level
from serverquant._base._threads cimport parallel_range, range_fn, team_size
from serverquant.kernels._rows cimport fill_levels, row_objects, sq_row

cdef extern from "quantize.h" nogil:
    const sq_row* sq_quantize_rows
    const int sq_quantize_row_count
    enum:
        SQ_MIN_MAX_PARTS

    ctypedef struct sq_requantize_job:
        const int32_t* x
        uint8_t* y
        float multiplier
        int32_t zero_point
        int32_t lo
        int32_t hi
        int32_t q31_multiplier
        int32_t q31_shift

    ctypedef struct sq_min_max_job:
        const float* x
        long long n
        int parts
        float* lo
        float* hi

# Inner borders of ranges: a multiple of any vector, and of a cache line of bytes.
cdef enum:
    ALIGN = 64

cdef range_fn[3] QUANTIZE_U8, QUANTIZE_S8, QUANTIZE_MOBILE_U8, REQUANTIZE_U8, REQUANTIZE_Q31, MIN_MAX
cdef range_fn[3] WIDE_U8, WIDE_S8, WIDE_U16, WIDE_S16, WIDE_S32
cdef range_fn[3] DEQUANTIZE_U8, DEQUANTIZE_U16, DEQUANTIZE_S32

fill_levels(QUANTIZE_U8, sq_quantize_rows, sq_quantize_row_count, b"quantize_u8")
fill_levels(QUANTIZE_S8, sq_quantize_rows, sq_quantize_row_count, b"quantize_s8")
fill_levels(QUANTIZE_MOBILE_U8, sq_quantize_rows, sq_quantize_row_count, b"quantize_mobile_u8")
fill_levels(WIDE_U8, sq_quantize_rows, sq_quantize_row_count, b"quantize_wide_u8")
fill_levels(WIDE_S8, sq_quantize_rows, sq_quantize_row_count, b"quantize_wide_s8")
fill_levels(WIDE_U16, sq_quantize_rows, sq_quantize_row_count, b"quantize_wide_u16")
fill_levels(WIDE_S16, sq_quantize_rows, sq_quantize_row_count, b"quantize_wide_s16")
fill_levels(WIDE_S32, sq_quantize_rows, sq_quantize_row_count, b"quantize_wide_s32")
fill_levels(DEQUANTIZE_U8, sq_quantize_rows, sq_quantize_row_count, b"dequantize_u8")
fill_levels(DEQUANTIZE_U16, sq_quantize_rows, sq_quantize_row_count, b"dequantize_u16")
fill_levels(DEQUANTIZE_S32, sq_quantize_rows, sq_quantize_row_count, b"dequantize_s32")
fill_levels(REQUANTIZE_U8, sq_quantize_rows, sq_quantize_row_count, b"requantize_u8")
fill_levels(REQUANTIZE_Q31, sq_quantize_rows, sq_quantize_row_count, b"requantize_q31_u8")
fill_levels(MIN_MAX, sq_quantize_rows, sq_quantize_row_count, b"min_max")


def rows() -> list:
    """The kernel table, fastest first for each op."""
    return row_objects("quantize", sq_quantize_rows, sq_quantize_row_count)


cdef inline void _quantize(range_fn* by_level, const float* x, void* y, long long n, float scale, int zero_point,
                           int lo, int hi) noexcept nogil:
    cdef sq_quantize_job job
    job.x = x
    job.y = y
    job.scale = scale
    job.zero_point = zero_point
    job.lo = lo
    job.hi = hi
    parallel_range(by_level[level()], &job, n, ALIGN, team_size(n))


cdef inline void _dequantize(range_fn* by_level, const void* x, float* y, long long n, float scale,
                             int zero_point) noexcept nogil:
    cdef sq_dequantize_job job
    job.x = x
    job.y = y
    job.scale = scale
    job.zero_point = zero_point
    parallel_range(by_level[level()], &job, n, ALIGN, team_size(n))


cdef range_fn dequantize_u8_job(sq_dequantize_job* job, const uint8_t* x, float* y, float scale,
                                int zero_point) noexcept nogil:
    job.x, job.y, job.scale, job.zero_point = x, y, scale, zero_point
    return DEQUANTIZE_U8[level()]


cdef inline int _highest(int bits, bint is_signed) noexcept nogil:
    """The largest integer of that many bits."""
    return <int>((1LL << (bits - is_signed)) - 1)


cdef range_fn quantize_u8_job(sq_quantize_job* job, float scale, int zero_point, int bits) noexcept nogil:
    job.scale, job.zero_point, job.lo, job.hi = scale, zero_point, 0, _highest(bits, False) if bits else 255
    return QUANTIZE_MOBILE_U8[level()] if bits == 0 else QUANTIZE_U8[level()] if bits == 8 else WIDE_U8[level()]


cdef void quantize_u8(const float* x, uint8_t* y, long long n, float scale, int zero_point) noexcept nogil:
    _quantize(QUANTIZE_U8, x, y, n, scale, zero_point, 0, 255)


cdef void quantize_s8(const float* x, int8_t* y, long long n, float scale, int zero_point) noexcept nogil:
    _quantize(QUANTIZE_S8, x, y, n, scale, zero_point, -128, 127)


cdef void quantize_wide_u8(const float* x, uint8_t* y, long long n, float scale, int zero_point,
                           int bits) noexcept nogil:
    _quantize(WIDE_U8, x, y, n, scale, zero_point, 0, _highest(bits, False))


cdef void quantize_wide_s8(const float* x, int8_t* y, long long n, float scale, int zero_point,
                           int bits) noexcept nogil:
    _quantize(WIDE_S8, x, y, n, scale, zero_point, -_highest(bits, True) - 1, _highest(bits, True))


cdef void quantize_wide_u16(const float* x, uint16_t* y, long long n, float scale, int zero_point,
                            int bits) noexcept nogil:
    _quantize(WIDE_U16, x, y, n, scale, zero_point, 0, _highest(bits, False))


cdef void quantize_wide_s16(const float* x, int16_t* y, long long n, float scale, int zero_point,
                            int bits) noexcept nogil:
    _quantize(WIDE_S16, x, y, n, scale, zero_point, -_highest(bits, True) - 1, _highest(bits, True))


cdef void quantize_wide_s32(const float* x, int32_t* y, long long n, float scale, int zero_point,
                            int bits) noexcept nogil:
    _quantize(WIDE_S32, x, y, n, scale, zero_point, -_highest(bits, True) - 1, _highest(bits, True))


cdef void quantize_mobile_u8(const float* x, uint8_t* y, long long n, float scale, int zero_point) noexcept nogil:
    _quantize(QUANTIZE_MOBILE_U8, x, y, n, scale, zero_point, 0, 255)


cdef void dequantize_u8(const uint8_t* x, float* y, long long n, float scale, int zero_point) noexcept nogil:
    _dequantize(DEQUANTIZE_U8, x, y, n, scale, zero_point)


cdef void dequantize_u16(const uint16_t* x, float* y, long long n, float scale, int zero_point) noexcept nogil:
    _dequantize(DEQUANTIZE_U16, x, y, n, scale, zero_point)


cdef void dequantize_s32(const int32_t* x, float* y, long long n, float scale, int zero_point) noexcept nogil:
    _dequantize(DEQUANTIZE_S32, x, y, n, scale, zero_point)


cdef void requantize_u8(const int32_t* x, uint8_t* y, long long n, float multiplier, int zero_point, int lo,
                        int hi) noexcept nogil:
    cdef sq_requantize_job job
    job.x = x
    job.y = y
    job.multiplier = multiplier
    job.zero_point = zero_point
    job.lo = lo
    job.hi = hi
    parallel_range(REQUANTIZE_U8[level()], &job, n, ALIGN, team_size(n))


cdef void requantize_q31_u8(const int32_t* x, uint8_t* y, long long n, int32_t multiplier, int32_t shift,
                            int zero_point, int lo, int hi) noexcept nogil:
    cdef sq_requantize_job job
    job.x = x
    job.y = y
    job.q31_multiplier = multiplier
    job.q31_shift = shift
    job.zero_point = zero_point
    job.lo = lo
    job.hi = hi
    parallel_range(REQUANTIZE_Q31[level()], &job, n, ALIGN, team_size(n))


cdef void min_max(const float* x, long long n, float* lo, float* hi) noexcept nogil:
    cdef float[SQ_MIN_MAX_PARTS] los
    cdef float[SQ_MIN_MAX_PARTS] his
    cdef sq_min_max_job job
    cdef int t, team
    if n <= 0 or x[0] != x[0]:
        lo[0] = hi[0] = x[0] if n > 0 else 0.0
        return
    team = team_size(n)
    job.x = x
    job.n = n
    job.parts = team if team < SQ_MIN_MAX_PARTS else SQ_MIN_MAX_PARTS
    job.lo = los
    job.hi = his
    parallel_range(MIN_MAX[level()], &job, job.parts, 1, job.parts)
    for t in range(1, job.parts):
        los[0] = los[t] if los[t] < los[0] else los[0]
        his[0] = his[t] if his[t] > his[0] else his[0]
    # -0 and +0 compare equal: which one was met first depends on the order. Adding 0 makes both +0.
    lo[0] = los[0] + <float>0.0
    hi[0] = his[0] + <float>0.0


@cython.boundscheck(False)
def py_quantize_u8(const float[::1] x, uint8_t[::1] y, float scale, int zero_point) -> None:
    quantize_u8(&x[0], &y[0], x.shape[0], scale, zero_point)


@cython.boundscheck(False)
def py_quantize_s8(const float[::1] x, int8_t[::1] y, float scale, int zero_point) -> None:
    quantize_s8(&x[0], &y[0], x.shape[0], scale, zero_point)


@cython.boundscheck(False)
def py_quantize_wide_u8(const float[::1] x, uint8_t[::1] y, float scale, int zero_point, int bits) -> None:
    quantize_wide_u8(&x[0], &y[0], x.shape[0], scale, zero_point, bits)


@cython.boundscheck(False)
def py_quantize_wide_s8(const float[::1] x, int8_t[::1] y, float scale, int zero_point, int bits) -> None:
    quantize_wide_s8(&x[0], &y[0], x.shape[0], scale, zero_point, bits)


@cython.boundscheck(False)
def py_quantize_wide_u16(const float[::1] x, uint16_t[::1] y, float scale, int zero_point, int bits) -> None:
    quantize_wide_u16(&x[0], &y[0], x.shape[0], scale, zero_point, bits)


@cython.boundscheck(False)
def py_quantize_wide_s16(const float[::1] x, int16_t[::1] y, float scale, int zero_point, int bits) -> None:
    quantize_wide_s16(&x[0], &y[0], x.shape[0], scale, zero_point, bits)


@cython.boundscheck(False)
def py_quantize_wide_s32(const float[::1] x, int32_t[::1] y, float scale, int zero_point, int bits) -> None:
    quantize_wide_s32(&x[0], &y[0], x.shape[0], scale, zero_point, bits)


@cython.boundscheck(False)
def py_quantize_mobile_u8(const float[::1] x, uint8_t[::1] y, float scale, int zero_point) -> None:
    quantize_mobile_u8(&x[0], &y[0], x.shape[0], scale, zero_point)


@cython.boundscheck(False)
def py_dequantize_u8(const uint8_t[::1] x, float[::1] y, float scale, int zero_point) -> None:
    dequantize_u8(&x[0], &y[0], x.shape[0], scale, zero_point)


@cython.boundscheck(False)
def py_dequantize_u16(const uint16_t[::1] x, float[::1] y, float scale, int zero_point) -> None:
    dequantize_u16(&x[0], &y[0], x.shape[0], scale, zero_point)


@cython.boundscheck(False)
def py_dequantize_s32(const int32_t[::1] x, float[::1] y, float scale, int zero_point) -> None:
    dequantize_s32(&x[0], &y[0], x.shape[0], scale, zero_point)


@cython.boundscheck(False)
def py_requantize_u8(const int32_t[::1] x, uint8_t[::1] y, float multiplier, int zero_point, int lo,
                     int hi) -> None:
    requantize_u8(&x[0], &y[0], x.shape[0], multiplier, zero_point, lo, hi)


@cython.boundscheck(False)
def py_requantize_q31_u8(const int32_t[::1] x, uint8_t[::1] y, int multiplier, int shift, int zero_point, int lo,
                         int hi) -> None:
    requantize_q31_u8(&x[0], &y[0], x.shape[0], multiplier, shift, zero_point, lo, hi)


@cython.boundscheck(False)
def py_min_max(const float[::1] x) -> tuple:
    cdef float lo, hi
    min_max(&x[0], x.shape[0], &lo, &hi)
    return lo, hi
