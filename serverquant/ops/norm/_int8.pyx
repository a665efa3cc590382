"""Native steps of normalisation and softmax on Int8 tensors."""
from libc.math cimport exp, rint
from libc.stdint cimport int64_t, uint8_t, uint32_t

from serverquant.blobs._blob cimport SQ_OK, sq_step, sq_tensor
from serverquant.kernels.softmax._softmax cimport softmax_u8
from serverquant.runtime._plan cimport Step, fail


cdef struct Softmax:
    uint32_t table[256]
    float x_scale           # that the table was made for; 0: none yet
    int64_t width
    float y_scale
    int y_zero_point


cdef void fill_table(Softmax* c, float x_scale, int64_t width) noexcept nogil:
    """exp((i - 255) * scale) in units that let a row's sum fit 32 bits."""
    cdef double unit = min(4294967295.0 / <double>width, 8388607.0)
    cdef int i
    for i in range(256):
        c.table[i] = <uint32_t>rint(unit * exp(<double>(i - 255) * <double>x_scale))
    c.x_scale, c.width = x_scale, width


cdef int run_mobile_softmax(sq_step* s) noexcept nogil:
    cdef Softmax* c = <Softmax*>s.ctx
    cdef const sq_tensor* x = s.in_[0]
    cdef sq_tensor* y = s.out[0]
    cdef int64_t rows = x.shape.dims[0], width
    if rows == 0:
        return fail(s, "a batch of 0 has no softmax")
    width = x.shape.size // rows
    if width and (c.x_scale != x.scale or c.width != width):
        fill_table(c, x.scale, width)
    softmax_u8(<const uint8_t*>x.data, <uint8_t*>y.data, rows, width, c.table)
    y.scale, y.zero_point = c.y_scale, c.y_zero_point
    return SQ_OK


def mobile_softmax_step(float y_scale, int y_zero_point) -> Step:
    """Over all dims but the first."""
    cdef Step step = Step()
    cdef Softmax* c = <Softmax*>step.new_context(sizeof(Softmax))
    c.y_scale, c.y_zero_point = y_scale, y_zero_point
    step.c.run = run_mobile_softmax
    step.c.rows = 1
    step.kernel = "softmax_u8"
    return step
