"""Native steps of recurrent cells."""
from libc.stdint cimport int64_t

from serverquant.blobs._blob cimport SQ_OK, sq_shape, sq_step
from serverquant.kernels.recurrent._recurrent cimport gru_unit, lstm_unit, sq_cell_job
from serverquant.runtime._plan cimport Step


cdef struct Cell:
    sq_cell_job job             # what does not change from run to run
    int states
    bint lengths

cdef int run_cell(sq_step* s) noexcept nogil:
    cdef Cell* c = <Cell*>s.ctx
    cdef int64_t rows = s.in_[0].shape.dims[1]
    c.job.d = s.in_[0].shape.dims[2]
    c.job.h_before, c.job.h = <float*>s.in_[0].data, <float*>s.out[0].data
    c.job.gates = <float*>s.in_[c.states].data
    c.job.lengths = <const int*>s.in_[c.states + 1].data if c.lengths else NULL
    c.job.step = (<const int*>s.in_[s.n_in - 1].data)[0]
    if c.states == 2:
        c.job.c_before, c.job.c = <float*>s.in_[1].data, <float*>s.out[1].data
        lstm_unit(&c.job, rows)
    else:
        gru_unit(&c.job, rows)
    return SQ_OK


cdef int reshape_cell(sq_step* s, const sq_shape* const* ins, sq_shape* const* outs) noexcept nogil:
    """Another batch; dims[0] and the elements stay."""
    cdef Cell* c = <Cell*>s.ctx
    cdef int64_t rows = ins[0].dims[1]
    cdef int i
    for i in range(c.states + 1):
        if ins[i].dims[0] != outs[0].dims[0] or ins[i].dims[1] != rows:
            return 1
    if ins[0].dims[2] != outs[0].dims[2] or (c.lengths and ins[c.states + 1].size != rows):
        return 1
    for i in range(c.states):
        outs[i].dims[1] = rows
        outs[i].size = outs[i].dims[0] * rows * outs[i].dims[2]
    return SQ_OK


def cell_step(int states, *, bint lengths, bint drop, float forget_bias) -> Step:
    """An LSTM's step with two states, a GRU's with one. lengths: an input holds the sequences' lengths."""
    cdef Step step = Step()
    cdef Cell* c = <Cell*>step.new_context(sizeof(Cell))
    c.states, c.lengths, c.job.drop, c.job.forget_bias = states, lengths, drop, forget_bias
    step.c.run = run_cell
    step.c.reshape = reshape_cell
    step.kernel = "lstm_unit_f32" if states == 2 else "gru_unit_f32"
    return step
