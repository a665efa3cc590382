"""Native half of choose.py and quantize.py: the only implementation of these rules."""

from libc.math cimport ceil, fabs, frexp, isinf, ldexp, log2, rint
from libc.stdint cimport int32_t, uint8_t, uint16_t

from serverquant._base cimport _isa

cdef extern from "quantize.h" nogil:
    void sq_find_min_max(bint avx2, const float* x, Py_ssize_t n, float* lo, float* hi) noexcept
    void sq_quantize_8(
        bint avx2, const float* x, uint8_t* y, Py_ssize_t n, float inv, float z, float lo, float hi) noexcept
    void sq_quantize_wide8(
        bint avx2, const float* x, uint8_t* y, Py_ssize_t n, float inv, float z, float lo, float hi) noexcept
    void sq_quantize_wide16(
        bint avx2, const float* x, uint16_t* y, Py_ssize_t n, float inv, float z, float lo, float hi) noexcept
    void sq_quantize_bias(const float* b, int32_t* y, Py_ssize_t n, float inv) noexcept


cdef inline float power_of_two_scale(float scale) noexcept nogil:
    """The power of two at or above scale, up to rounding: below 1 exactly, from 1 on 2^ceil(f32(log2 s)), as Caffe2
    does, where a scale that is just above a power counts as that power. frexp: s = m * 2^e with m in [0.5, 1)."""
    cdef int exponent
    cdef double mantissa
    if scale >= 1:
        return <float>ldexp(1.0, <int>ceil(<float>log2(scale)))
    mantissa = frexp(scale, &exponent)
    return <float>ldexp(1.0, exponent - 1 if mantissa == 0.5 else exponent)


cdef inline void stretch_symmetric(float* lo, float* hi, int levels) noexcept nogil:
    """Widen [lo, hi], which straddles 0, until its ends stand as -(levels // 2 + 1) to levels // 2."""
    cdef float a = -(levels // 2 + 1), b = levels // 2
    cdef float low_step = lo[0] / a, high_step = hi[0] / b
    cdef double step = fabs(low_step)
    if step < fabs(high_step):
        step = fabs(high_step)
    lo[0] = <float>(step * a)
    hi[0] = <float>(step * b)


cdef inline int nearest_zero_point(double lo, double hi, double scale, int levels) noexcept nogil:
    """The integer nearest to where 0 falls, reckoned from the end whose terms are smaller."""
    cdef double z
    if fabs(lo / scale) < levels + fabs(hi / scale):
        z = 0.0 - lo / scale
    else:
        z = levels - hi / scale
    if z > levels:
        return levels
    return <int>rint(z) if z >= 0.0 else 0  # a NaN range ends here too


cdef void choose_c(
    float lo, float hi, int precision, bint symmetric, bint power_of_two, float* scale, int* zero_point
) noexcept nogil:
    cdef int levels = (1 << precision) - 1
    cdef bint centred
    if symmetric and lo < 0 and hi > 0:
        stretch_symmetric(&lo, &hi, levels)
    lo = 0 if 0 < lo else lo  # written so that NaN stays
    hi = 0 if hi < 0 else hi
    cdef float s = <float>((<double>hi - <double>lo) / <double>levels)
    if s == 0 or isinf(<float>(1.0 / s)):
        s = <float>0.1
    if power_of_two:
        s = power_of_two_scale(s)
    scale[0] = s
    centred = symmetric and lo < 0 and hi > 0
    zero_point[0] = 1 << (precision - 1) if centred else nearest_zero_point(lo, hi, s, levels)


cdef void find_min_max_c(const float* x, Py_ssize_t n, float* lo, float* hi) noexcept nogil:
    if n <= 0:
        lo[0] = 0
        hi[0] = 0
        return
    sq_find_min_max(_isa.level() >= _isa.AVX2, x, n, lo, hi)


def choose_native(float lo, float hi, int precision, bint symmetric, bint power_of_two):
    """(scale, zero point) of a range; choose.py documents and checks."""
    cdef float scale
    cdef int zero_point
    choose_c(lo, hi, precision, symmetric, power_of_two, &scale, &zero_point)
    return scale, zero_point


def find_min_max_native(const float[::1] x):
    """(min, max) of a contiguous f32 array; (0, 0) when it is empty."""
    cdef float lo, hi
    find_min_max_c(&x[0] if x.shape[0] else NULL, x.shape[0], &lo, &hi)
    return lo, hi


def quantize_native(
    const float[::1] x, uint8_t[::1] y8, uint16_t[::1] y16, float inverse, float zero_point, float lo, float hi,
    bint fused,
):
    """Quantize x into y8 or y16 (whichever has its length; the other is None); fused = the 8-bit formula."""
    cdef Py_ssize_t n = x.shape[0]
    cdef bint avx2 = _isa.level() >= _isa.AVX2
    if n == 0:
        return
    if y16 is not None:
        assert y16.shape[0] == n
        sq_quantize_wide16(avx2, &x[0], &y16[0], n, inverse, zero_point, lo, hi)
        return
    assert y8.shape[0] == n
    if fused:
        sq_quantize_8(avx2, &x[0], &y8[0], n, inverse, zero_point, lo, hi)
    else:
        sq_quantize_wide8(avx2, &x[0], &y8[0], n, inverse, zero_point, lo, hi)


def quantize_bias_native(const float[::1] b, int32_t[::1] y, float inverse):
    """Quantize b into y, of the same length."""
    assert y.shape[0] == b.shape[0]
    if b.shape[0]:
        sq_quantize_bias(&b[0], &y[0], b.shape[0], inverse)
