"""Native steps of the unary operators."""
from libc.math cimport isfinite
from libc.stdint cimport int64_t, uint8_t, uint16_t
from libc.string cimport memcpy

from serverquant.blobs._blob cimport SQ_OK, sq_step, sq_tensor
from serverquant.kernels.half._half cimport from_f16, to_f16
from serverquant.kernels.unary._unary cimport Map, find_map, relu_u8, run_map
from serverquant.runtime._plan cimport Step, fail

from serverquant.blobs import dtypes


cdef int run_unary(sq_step* s) noexcept nogil:
    run_map(<Map*>s.ctx, s.in_[0].data, s.out[0].data, s.in_[0].shape.size)
    return SQ_OK


def map_step(str kernel, float a=0, float b=0, int64_t n=1, bint flag=False) -> Step:
    """A map of kernels/unary/maps.inc, by name, and its parameters."""
    cdef Step step = Step()
    find_map(<Map*>step.new_context(sizeof(Map)), kernel, a, b, n, flag)
    step.c.run = run_unary
    step.c.rows = 1
    step.kernel = kernel
    return step


cdef int run_to_half(sq_step* s) noexcept nogil:
    to_f16(<float*>s.in_[0].data, <uint16_t*>s.out[0].data, s.in_[0].shape.size)
    return SQ_OK


cdef int run_from_half(sq_step* s) noexcept nogil:
    from_f16(<uint16_t*>s.in_[0].data, <float*>s.out[0].data, s.in_[0].shape.size)
    return SQ_OK


def half_step(bint to) -> Step:
    """Floats to half precision, or back."""
    cdef Step step = Step()
    step.c.run = run_to_half if to else run_from_half
    step.c.rows = 1
    step.kernel = "to_f16" if to else "from_f16"
    return step


cdef struct Finite:
    bint is_double

cdef int run_finite(sq_step* s) noexcept nogil:
    cdef sq_tensor* x = s.in_[0]
    cdef bint is_double = (<Finite*>s.ctx).is_double
    cdef int64_t i
    cdef double value
    for i in range(x.shape.size):
        value = (<double*>x.data)[i] if is_double else (<float*>x.data)[i]
        if not isfinite(value):
            return fail(s, "element %lld of input 0 is %g, which is not finite", i, value)
    if s.n_out and s.out[0].data != x.data:
        memcpy(s.out[0].data, x.data, x.shape.size * x.shape.item_bytes)
    return SQ_OK


def finite_step(int dtype) -> Step:
    """An error for a NaN or an infinity in a tensor of float or double; then a copy, if there is an output."""
    cdef Step step = Step()
    (<Finite*>step.new_context(sizeof(Finite))).is_double = dtype == dtypes.DOUBLE
    step.c.run = run_finite
    step.c.rows = 1
    step.kernel = "finite"
    return step


cdef int run_int8_relu(sq_step* s) noexcept nogil:
    cdef sq_tensor* x = s.in_[0]
    cdef sq_tensor* y = s.out[0]
    relu_u8(<const uint8_t*>x.data, <uint8_t*>y.data, x.shape.size, x.zero_point)
    y.scale, y.zero_point = x.scale, x.zero_point
    return SQ_OK


def int8_relu_step() -> Step:
    """Y = max(q, zero point) on uint8."""
    cdef Step step = Step()
    step.c.run = run_int8_relu
    step.c.rows = 1
    step.kernel = "relu_u8"
    return step
