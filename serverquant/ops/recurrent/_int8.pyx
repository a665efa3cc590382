"""Native step of the LSTM cell on Int8 tensors, engine DNNLOWP."""
from libc.math cimport rint
from libc.stdint cimport int32_t, int64_t, uint8_t

from serverquant._base._threads cimport parallel_range, team_size
from serverquant.blobs._blob cimport SQ_INT8, SQ_OK, sq_step
from serverquant.ops.dnnlowp._params cimport Params, fill, quantize_input
from serverquant.ops.dnnlowp._quantized cimport QInput, Quantized, new_quantized
from serverquant.ops.unary._table cimport fill_tanh
from serverquant.qparams._choose cimport choose_c
from serverquant.runtime._plan cimport Step


cdef struct Cell:
    Quantized base
    uint8_t tanh[256]
    uint8_t sigmoid[256]
    uint8_t gate[256]           # of i and o: gate byte -> sigmoid's byte
    uint8_t forget[256]
    uint8_t input[256]          # of g: gate byte -> tanh's byte
    float gate_scale
    int gate_zero_point
    bint lengths, drop

# What a row of the batch needs.
cdef struct Rows:
    const Cell* c
    const uint8_t* h
    const uint8_t* cell
    const uint8_t* gates
    const int32_t* lengths      # NULL: no sequence is over
    uint8_t* y
    int64_t width
    int timestep, h_zero_point, cell_zero_point, zero_point, second_zero_point, most
    float h_ratio, cell_ratio, to_product, to_y, to_second, to_tanh


cdef inline int rounded(float v) noexcept nogil:
    return <int>rint(v) if v > -2e9 and v < 2e9 else (-2000000000 if v < 0 else 2000000000)


cdef inline uint8_t clamped(int v, int most) noexcept nogil:
    return <uint8_t>max(0, min(most, v))


cdef inline uint8_t byte(int v) noexcept nogil:
    return clamped(v, 255)


cdef void over(const Rows* r, int64_t row) noexcept nogil:
    """The states of a sequence that is over: as they were, or 0."""
    cdef int64_t i
    for i in range(row * r.width, (row + 1) * r.width):
        if r.c.drop:
            r.y[i], r.c.base.second.y[i] = r.zero_point, r.second_zero_point
        else:
            r.y[i] = clamped(rounded(<float>(r.h[i] - r.h_zero_point) * r.h_ratio) + r.zero_point, r.most)
            r.c.base.second.y[i] = clamped(rounded(<float>(r.cell[i] - r.cell_zero_point) * r.cell_ratio)
                                           + r.second_zero_point, r.most)


cdef void step_row(const Rows* r, int64_t row) noexcept nogil:
    cdef const Cell* c = r.c
    cdef const uint8_t* gates = r.gates + row * 4 * r.width
    cdef int64_t d, i
    cdef int kept, product, t
    for d in range(r.width):
        i = row * r.width + d
        kept = c.forget[gates[r.width + d]] * (<int>r.cell[i] - r.cell_zero_point)
        product = rounded(<float>kept * r.to_product) + c.gate[gates[d]] * (<int>c.input[gates[3 * r.width + d]] - 128)
        c.base.second.y[i] = clamped(rounded(<float>product * r.to_second) + r.second_zero_point, r.most)
        t = c.tanh[byte(rounded(<float>product * r.to_tanh) + 128)]
        r.y[i] = clamped(rounded(<float>(c.gate[gates[2 * r.width + d]] * (t - 128)) * r.to_y) + r.zero_point, r.most)


cdef void run_rows(const void* job, long long begin, long long end) noexcept nogil:
    cdef const Rows* r = <const Rows*>job
    cdef long long row
    for row in range(begin, end):
        if r.lengths != NULL and r.timestep >= r.lengths[row]:
            over(r, row)
        else:
            step_row(r, row)


cdef int64_t gate_bytes(sq_step* s) noexcept nogil:
    return s.in_[2].shape.size


cdef int cell(sq_step* s, const QInput* ins, uint8_t* y, float scale, int zero_point, void* scratch) noexcept nogil:
    """Gates are taken to have the table's range, whatever an Int8 blob says."""
    cdef Cell* c = <Cell*>s.ctx
    cdef Rows r
    cdef float out = <float>(0.5 / 127) * <float>(1.0 / 127), tanh_in = 3.0 / 127, tanh_out = 1.0 / 127
    cdef int64_t rows = s.in_[1].shape.dims[1]
    r.c, r.h, r.cell, r.gates = c, ins[0].q, ins[1].q, <const uint8_t*>s.in_[2].data
    if s.in_[2].shape.kind != SQ_INT8:
        quantize_input(&c.base.params, s.in_[2], <uint8_t*>scratch, c.gate_scale, c.gate_zero_point)
        r.gates = <uint8_t*>scratch
    r.lengths = <const int32_t*>s.in_[3].data if c.lengths else NULL
    r.timestep = (<const int32_t*>s.in_[4 if c.lengths else 3].data)[0]
    r.y, r.width, r.most = y, s.in_[1].shape.dims[2], (1 << c.base.params.precision) - 1
    r.h_zero_point, r.cell_zero_point = ins[0].zero_point, ins[1].zero_point
    r.zero_point, r.second_zero_point = zero_point, c.base.second.zero_point
    r.h_ratio, r.cell_ratio = ins[0].scale / scale, ins[1].scale / c.base.second.scale
    r.to_product = ins[1].scale / tanh_out
    r.to_y, r.to_second, r.to_tanh = out / scale, out / c.base.second.scale, out / tanh_in
    parallel_range(run_rows, &r, rows, 1, team_size(rows * r.width * 8))
    return SQ_OK


cdef void fill_tables(Cell* c, float forget_bias) noexcept nogil:
    """From a gate's byte to what its table gives for it."""
    cdef float sigmoid_in = 6.0 / 127, tanh_in = 3.0 / 127, ratio
    cdef int q, bias
    cdef Params* p = &c.base.params
    cdef int half = 1 << (p.precision - 1)
    choose_c(sigmoid_in * -128, sigmoid_in * 127, p.precision, p.symmetric, p.power_of_two, &c.gate_scale,
             &c.gate_zero_point)
    fill_tanh(c.tanh)
    for q in range(256):
        c.sigmoid[q] = c.tanh[q] - 1
    bias = rounded(forget_bias * (<float>1 / c.gate_scale) + c.gate_zero_point)
    bias = max(-half, min(half - 1, bias))
    for q in range(256):
        ratio = c.gate_scale / sigmoid_in
        c.gate[q] = c.sigmoid[byte(rounded(<float>(q - c.gate_zero_point) * ratio) + 128)]
        c.forget[q] = c.sigmoid[byte(rounded(<float>(q + bias - 2 * c.gate_zero_point) * ratio) + 128)]
        ratio = c.gate_scale / tanh_in
        c.input[q] = c.tanh[byte(rounded(<float>(q - c.gate_zero_point) * ratio) + 128)]


def lstm_step(options, second, Step floats, *, float forget_bias, bint lengths, bint drop) -> Step:
    """options, second: of the hidden state and of the cell."""
    cdef Step step = Step()
    cdef Cell* c = <Cell*>new_quantized(step, sizeof(Cell), options, floats, cell, 3)
    fill(&c.base.second.params, second)
    c.base.second.there, c.base.extra = True, gate_bytes
    c.lengths, c.drop = lengths, drop
    fill_tables(c, forget_bias)
    step.kernel = "lut_u8"
    return step
