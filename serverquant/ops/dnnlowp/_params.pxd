"""Quantization parameters while a step runs: fixed by arguments, an Int8 input's own, or chosen from a range."""
from libc.stdint cimport int64_t, uint8_t

from serverquant.blobs._blob cimport sq_tensor


# How an operator chooses parameters; see options.py.
cdef struct Params:
    bint fixed              # scale and zero_point are the output's
    float scale
    int zero_point
    int precision           # bits of activations
    bint symmetric, power_of_two
    bint relu               # of a Relu in or behind the operator: a chosen range begins at 0
    bint clamp              # a Relu in the operator: nothing below the zero point
    bint dequantize         # the output is float

# From the operator's `Options`; relu: the operator has a Relu of its own.
cdef int fill(Params* p, options, bint relu=?) except -1

# Parameters of an input: an Int8 tensor's own; for a float tensor those of its range.
cdef void of_input(const Params* p, const sq_tensor* x, float* scale, int* zero_point) noexcept nogil

# Parameters of the output: the fixed ones, else those of a range, or of the range of `values`, before the Relu.
cdef void of_range(const Params* p, float lo, float hi, float* scale, int* zero_point) noexcept nogil
cdef void of_output(const Params* p, const float* values, long long n, float* scale, int* zero_point) noexcept nogil

# A float input to `q`, by parameters that of_input() gave.
cdef void quantize_input(const Params* p, const sq_tensor* x, uint8_t* q, float scale, int zero_point) noexcept nogil


cdef inline void narrow(const Params* p, uint8_t* y, int64_t n) noexcept nogil:
    """Clamp an output to fewer bits than the kernel that wrote it knows of."""
    cdef int64_t i
    cdef uint8_t most = <uint8_t>((1 << p.precision) - 1)
    if p.precision < 8:
        for i in range(n):
            y[i] = min(y[i], most)


cdef inline int64_t room(int64_t nbytes) noexcept nogil:
    """Scratch for `nbytes`: whole cache lines, with one to spare for reads behind the end."""
    return (nbytes + 127) // 64 * 64
