"""Native steps of Int8 operators that are a table of 256 bytes. Tables follow the input's scale and zero point."""
from libc.math cimport exp, rint, tanh
from libc.stdint cimport int64_t, uint8_t

from serverquant.blobs._blob cimport SQ_INT8, SQ_OK, sq_step, sq_tensor
from serverquant.kernels.lut._lut cimport lut_u8
from serverquant.kernels.quantize._quantize cimport dequantize_u8, quantize_u8
from serverquant.ops.dnnlowp._params cimport room
from serverquant.runtime._plan cimport Step, fail


cdef struct Table:
    void (*fill)(Table*) noexcept nogil     # entries from x_scale and x_zero_point
    bint ready
    float x_scale
    int x_zero_point
    float alpha
    float y_scale               # 0: the input's own parameters
    int y_zero_point
    uint8_t entries[256]


cdef int run_table(sq_step* s) noexcept nogil:
    cdef Table* c = <Table*>s.ctx
    cdef const sq_tensor* x = s.in_[0]
    cdef sq_tensor* y = s.out[0]
    if not c.ready or c.x_scale != x.scale or c.x_zero_point != x.zero_point:
        c.x_scale, c.x_zero_point, c.ready = x.scale, x.zero_point, True
        c.fill(c)
    lut_u8(<const uint8_t*>x.data, <uint8_t*>y.data, x.shape.size, c.entries)
    if c.y_scale == 0:
        y.scale, y.zero_point = x.scale, x.zero_point
    else:
        y.scale, y.zero_point = c.y_scale, c.y_zero_point
    return SQ_OK


cdef Table* new_table(Step step, void (*fill)(Table*) noexcept nogil) except NULL:
    cdef Table* c = <Table*>step.new_context(sizeof(Table))
    c.fill = fill
    step.c.run = run_table
    step.c.rows = 1
    step.kernel = "lut_u8"
    return c


cdef void fill_leaky_relu(Table* c) noexcept nogil:
    cdef int q, x
    for q in range(256):
        x = q - c.x_zero_point
        if x < 0:
            x = <int>rint(<float>x * c.alpha)
        c.entries[q] = <uint8_t>max(0, min(255, x + c.x_zero_point))


def leaky_relu_step(float alpha) -> Step:
    """x < 0 ? alpha * x : x."""
    cdef Step step = Step()
    new_table(step, fill_leaky_relu).alpha = alpha
    return step


cdef void fill_sigmoid(Table* c) noexcept nogil:
    """The exponential in double, so that its last bit does not hang on the C library; single precision around it."""
    cdef int q
    cdef float e, y
    for q in range(256):
        e = <float>exp(<double>-(c.x_scale * <float>(q - c.x_zero_point)))
        y = 256.0 / (1.0 + e)
        c.entries[q] = <uint8_t>rint(min(y, <float>255))


def sigmoid_step(float y_scale, int y_zero_point) -> Step:
    """1 / (1 + exp(-x)), in units of 1/256."""
    cdef Step step = Step()
    cdef Table* c = new_table(step, fill_sigmoid)
    c.y_scale, c.y_zero_point = y_scale, y_zero_point
    return step


# ---- server set: one table for Tanh, shifted for Sigmoid -----------------------------------------------------------

cdef struct Fixed:
    uint8_t entries[256]
    float x_scale, y_scale      # the table's own, whatever the input has
    int y_zero_point
    bint dequantize


cdef int run_fixed(sq_step* s) noexcept nogil:
    """Scratch: X quantized, if it is float | Y as bytes (dequantized)."""
    cdef const Fixed* c = <Fixed*>s.ctx
    cdef const sq_tensor* x = s.in_[0]
    cdef sq_tensor* y = s.out[0]
    cdef int64_t n = x.shape.size
    cdef uint8_t* bytes = <uint8_t*>s.scratch(s, 2 * room(n))
    cdef uint8_t* out = bytes + room(n) if c.dequantize else <uint8_t*>y.data
    cdef const uint8_t* q = <const uint8_t*>x.data
    if bytes == NULL:
        return fail(s, "no memory for scratch")
    if x.shape.kind != SQ_INT8:
        quantize_u8(<const float*>x.data, bytes, n, c.x_scale, 128)
        q = bytes
    lut_u8(q, out, n, c.entries)
    if c.dequantize:
        dequantize_u8(out, <float*>y.data, n, c.y_scale, c.y_zero_point)
    else:
        y.scale, y.zero_point = c.y_scale, c.y_zero_point
    return SQ_OK


cdef void fill_tanh(uint8_t* entries) noexcept nogil:
    """Means of tanh over each of 127 steps up to 3, in 127ths; odd around 128."""
    cdef double step = <double>(<float>(3.0 / 127)), unit = <double>(<float>(1.0 / 127))
    cdef int i, t
    for i in range(129):
        t = <int>rint((tanh((i - 0.5) * step) + tanh((i + 0.5) * step)) / 2 / unit) if i < 127 else 127
        entries[128 - i] = <uint8_t>(128 - t)
        if i < 128:
            entries[128 + i] = <uint8_t>(128 + t)


def fixed_step(*, bint sigmoid, bint dequantize) -> Step:
    """Tanh, or Sigmoid, which is half of tanh at half of X, plus a half."""
    cdef Step step = Step()
    cdef Fixed* c = <Fixed*>step.new_context(sizeof(Fixed))
    cdef int i
    fill_tanh(c.entries)
    for i in range(256 if sigmoid else 0):
        c.entries[i] -= 1
    c.x_scale, c.y_scale = (6.0 if sigmoid else 3.0) / 127, (0.5 if sigmoid else 1.0) / 127
    c.y_zero_point, c.dequantize = 0 if sigmoid else 128, dequantize
    step.c.run = run_fixed
    step.c.rows = 1
    step.kernel = "lut_u8"
    return step
