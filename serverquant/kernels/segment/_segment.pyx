"""Reductions of segments. See segment.h."""
from serverquant._base._isa cimport level
from serverquant._base._threads cimport parallel_range, range_fn, team_size
from serverquant.kernels._rows cimport fill_levels, row_objects, sq_row

cdef extern from "segment.h" nogil:
    const sq_row* sq_segment_rows
    const int sq_segment_row_count

# In the order of `kind`; from FIRST_OF_EXP on they take exponentials.
cdef enum:
    FIRST_OF_EXP = 5
NAMES = ("sum", "mean", "max", "range_mean", "range_max", "log_sum_exp", "log_mean_exp")

cdef range_fn[7][3] KERNELS

for i, name in enumerate(NAMES):
    fill_levels(KERNELS[<int>i], sq_segment_rows, sq_segment_row_count, f"segment_{name}_f32".encode())


def rows() -> list:
    """The kernel table, fastest first for each op."""
    return row_objects("segment", sq_segment_rows, sq_segment_row_count)


cdef void reduce_segments(int kind, const sq_segment_job* job, long long segments,
                          long long positions) noexcept nogil:
    cdef long long cost = 16 if kind >= FIRST_OF_EXP else 1
    parallel_range(KERNELS[kind][level()], job, segments, 1, team_size((segments + positions) * job.columns * cost))
