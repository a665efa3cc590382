"""What the modules of range kernels share: choosing rows by level, and showing them to Python."""
from serverquant._base._threads cimport range_fn

cdef extern from "serverquant/rows.h" nogil:
    ctypedef struct sq_row:
        const char* op
        const char* name
        int isa
        range_fn run

    range_fn sq_row_find(const sq_row* rows, int count, const char* op, int level)


cdef inline int fill_levels(range_fn* by_level, const sq_row* rows, int count, const char* op) except -1:
    """Set by_level[0..2] to the fastest row of `op` for each instruction set."""
    cdef int level
    for level in range(3):
        by_level[level] = sq_row_find(rows, count, op, level)
        if by_level[level] == NULL:
            raise SystemError(f"no kernel row for {op.decode()}")
    return 0


cdef inline list row_objects(str family, const sq_row* rows, int count):
    """The rows as `KernelRow` objects; range kernels have no tile."""
    from serverquant.kernels.row import KernelRow
    cdef int i
    return [KernelRow.of(family, rows[i].name, rows[i].isa) for i in range(count)]
