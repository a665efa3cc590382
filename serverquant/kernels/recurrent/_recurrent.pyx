"""Cells of recurrent nets: see recurrent.h. The `py_` functions run on contiguous arrays."""
cimport cython

from serverquant._base._isa cimport level
from serverquant._base._threads cimport parallel_range, range_fn, team_size
from serverquant.kernels._rows cimport fill_levels, row_objects, sq_row

cdef extern from "../kernels/recurrent/recurrent.h" nogil:
    const sq_row* sq_recurrent_rows
    const int sq_recurrent_row_count

# Elementary operations of one element, for the choice of the team.
cdef enum:
    CELL_WORK = 64

cdef range_fn[3] LSTM, GRU

fill_levels(LSTM, sq_recurrent_rows, sq_recurrent_row_count, b"lstm_unit_f32")
fill_levels(GRU, sq_recurrent_rows, sq_recurrent_row_count, b"gru_unit_f32")


def rows() -> list:
    """The kernel table, fastest first for each op."""
    return row_objects("recurrent", sq_recurrent_rows, sq_recurrent_row_count)


cdef void lstm_unit(const sq_cell_job* job, long long rows) noexcept nogil:
    parallel_range(LSTM[level()], job, rows, 1, team_size(rows * job.d * CELL_WORK))


cdef void gru_unit(const sq_cell_job* job, long long rows) noexcept nogil:
    parallel_range(GRU[level()], job, rows, 1, team_size(rows * job.d * CELL_WORK))


@cython.boundscheck(False)
def py_lstm_unit(const float[:, ::1] h_before, const float[:, ::1] c_before, const float[:, ::1] gates,
                 const int[::1] lengths, float[:, ::1] h, float[:, ::1] c, int step, bint drop,
                 float forget_bias) -> None:
    cdef sq_cell_job job
    job.h_before, job.c_before, job.gates = &h_before[0, 0], &c_before[0, 0], &gates[0, 0]
    job.lengths = NULL if lengths is None else &lengths[0]
    job.h, job.c, job.d, job.step, job.drop, job.forget_bias = &h[0, 0], &c[0, 0], h.shape[1], step, drop, forget_bias
    lstm_unit(&job, h.shape[0])


@cython.boundscheck(False)
def py_gru_unit(const float[:, ::1] h_before, const float[:, ::1] gates, const int[::1] lengths, float[:, ::1] h,
                int step, bint drop) -> None:
    cdef sq_cell_job job
    job.h_before, job.gates, job.lengths = &h_before[0, 0], &gates[0, 0], NULL if lengths is None else &lengths[0]
    job.h, job.d, job.step, job.drop = &h[0, 0], h.shape[1], step, drop
    gru_unit(&job, h.shape[0])
