"""Native step of joining tensors by requantizing each of them, engine DNNLOWP."""
from libc.math cimport rint
from libc.stdint cimport int64_t, uint8_t

from serverquant.blobs._blob cimport SQ_INT8, sq_step
from serverquant.kernels.lut._lut cimport lut_u8
from serverquant.ops.dnnlowp._params cimport quantize_input, room
from serverquant.ops.dnnlowp._quantized cimport QInput, Quantized, new_quantized, run_on_bytes, tensors_room
from serverquant.runtime._plan cimport Step


# Bytes of one scale and zero point as bytes of another.
cdef struct Table:
    bint ready
    float scale, y_scale
    int zero_point, y_zero_point
    uint8_t entries[256]

cdef struct Joined:
    Quantized base
    Table tables[1]             # one for each part: kept until parameters change


cdef const uint8_t* table_of(Table* t, const QInput* x, float y_scale, int y_zero_point, int most) noexcept nogil:
    if not (t.ready and t.scale == x.scale and t.zero_point == x.zero_point and t.y_scale == y_scale
            and t.y_zero_point == y_zero_point):
        fill_table(t.entries, x.scale, x.zero_point, y_scale, y_zero_point, most)
        t.ready, t.scale, t.zero_point, t.y_scale, t.y_zero_point = True, x.scale, x.zero_point, y_scale, y_zero_point
    return t.entries


cdef void fill_table(uint8_t* table, float scale, int zero_point, float y_scale, int y_zero_point,
                     int most) noexcept nogil:
    cdef float multiplier = scale / y_scale
    cdef int q, v
    cdef float r
    for q in range(256):
        r = rint(<float>(q - zero_point) * multiplier)
        # x86's conversion: what is beyond int32 becomes its lowest number
        v = <int>r + y_zero_point if r >= -1e9 and r <= 1e9 else (0 if r < 0 else -1)
        table[q] = <uint8_t>max(0, min(most, v))


cdef int64_t concat_scratch(sq_step* s) noexcept nogil:
    cdef int64_t n = tensors_room(s) + room(s.n_in * sizeof(void*))
    cdef int i
    for i in range(s.n_in):
        n += room(s.in_[i].shape.size)
    return n


cdef int concat(sq_step* s, const QInput* ins, uint8_t* y, float scale, int zero_point, void* scratch) noexcept nogil:
    """Every part as bytes of the output's parameters, then the float operator's own way of joining."""
    cdef Joined* c = <Joined*>s.ctx
    cdef const uint8_t** parts = <const uint8_t**>(<char*>scratch + tensors_room(s))
    cdef uint8_t* at = <uint8_t*>parts + room(s.n_in * sizeof(void*))
    cdef int i, most = (1 << c.base.params.precision) - 1
    for i in range(s.n_in):
        parts[i] = at
        if s.in_[i].shape.kind == SQ_INT8:
            lut_u8(ins[i].q, at, s.in_[i].shape.size, table_of(&c.tables[i], &ins[i], scale, zero_point, most))
        else:
            quantize_input(&c.base.params, s.in_[i], at, scale, zero_point)
        at += room(s.in_[i].shape.size)
    return run_on_bytes(s, parts, y, scratch)


def concat_step(options, Step floats, int parts) -> Step:
    """Joins so many parts as `floats` does."""
    cdef Step step = Step()
    cdef size_t nbytes = sizeof(Joined) + max(parts - 1, 0) * sizeof(Table)
    cdef Quantized* c = new_quantized(step, nbytes, options, floats, concat, 0xFFFFFFFF)
    c.extra = concat_scratch
    step.kernel = "lut_u8"
    return step
