"""Bytes through a table of 256 bytes. See lut.h.

The `py_` function runs the same code on contiguous arrays, for tests and tools.
Bounds are not checked there in any build: the address of an empty array's first element is taken, never read.
"""
cimport cython

from serverquant._base._isa cimport level
from serverquant._base._threads cimport parallel_range, range_fn, team_size
from serverquant.kernels._rows cimport fill_levels, row_objects, sq_row

cdef extern from "lut.h" nogil:
    const sq_row* sq_lut_rows
    const int sq_lut_row_count

    ctypedef struct sq_lut_job:
        const uint8_t* x
        uint8_t* y
        const uint8_t* table

# Inner borders of ranges: a multiple of any vector, and of a cache line.
cdef enum:
    ALIGN = 64

cdef range_fn[3] LUT

fill_levels(LUT, sq_lut_rows, sq_lut_row_count, b"lut_u8")


def rows() -> list:
    """The kernel table, fastest first."""
    return row_objects("lut", sq_lut_rows, sq_lut_row_count)


cdef void lut_u8(const uint8_t* x, uint8_t* y, long long n, const uint8_t* table) noexcept nogil:
    cdef sq_lut_job job
    job.x = x
    job.y = y
    job.table = table
    # A byte costs less than the unit of work.
    parallel_range(LUT[level()], &job, n, ALIGN, team_size(n // 2))


@cython.boundscheck(False)
def py_lut_u8(const uint8_t[::1] x, uint8_t[::1] y, const uint8_t[::1] table) -> None:
    if table.shape[0] != 256 or x.shape[0] != y.shape[0]:
        raise ValueError("a table of 256 bytes, and arrays of equal length")
    lut_u8(&x[0], &y[0], x.shape[0], &table[0])
