"""Several inputs, one output, element by element. See binary.h and maps.inc for each formula.

The `py_` functions run the same code on arrays, for tests and tools; the arrays must be contiguous and fit together.
Bounds are not checked there in any build: the address of an empty array's first element is taken, never read.
"""
cimport cython
from libc.stdint cimport int64_t, uint8_t

from serverquant._base._isa cimport level
from serverquant._base._threads cimport parallel_range, team_size
from serverquant.kernels._rows cimport fill_levels, row_objects, sq_row

cdef extern from "binary.h" nogil:
    const sq_row* sq_binary_rows
    const int sq_binary_row_count

    ctypedef struct sq_fold_job:
        const void* const* inputs
        int count
        void* y


# Inner borders of ranges: whole cache lines of bytes.
cdef enum:
    ALIGN = 64


def rows() -> list:
    """The kernel table, fastest first for each op."""
    return row_objects("binary", sq_binary_rows, sq_binary_row_count)


cdef int find_kernel(Kernel* found, str name) except -1:
    fill_levels(found.rows, sq_binary_rows, sq_binary_row_count, name.encode())
    found.work = 16 if name.startswith("pow") else 1
    return 0


cdef void binary(const Kernel* f, const void* a, const void* b, void* y, long long n) noexcept nogil:
    cdef int64_t one = 1, dim = n
    binary_strided(f, a, &one, b, &one, y, 1, &dim)


cdef void set_grid(sq_binary_job* grid, int ndim, const int64_t* dims, const int64_t* a_strides,
                   const int64_t* b_strides) noexcept nogil:
    cdef int d
    grid.ndim = ndim
    for d in range(ndim):
        grid.dims[d], grid.a_strides[d], grid.b_strides[d] = dims[d], a_strides[d], b_strides[d]
    sq_collapse(grid)


cdef void binary_grid(const Kernel* f, const sq_binary_job* grid, long long n) noexcept nogil:
    parallel_range(f.rows[level()], grid, n, ALIGN, team_size(n * f.work))


cdef void binary_strided(const Kernel* f, const void* a, const int64_t* a_strides, const void* b,
                         const int64_t* b_strides, void* y, int ndim, const int64_t* dims) noexcept nogil:
    cdef sq_binary_job grid
    cdef long long n = 1
    cdef int d
    for d in range(ndim):
        n *= dims[d]
    if n == 0:
        return
    set_grid(&grid, ndim, dims, a_strides, b_strides)
    grid.a, grid.b, grid.y = a, b, y
    binary_grid(f, &grid, n)


cdef void binary_middle(const Kernel* f, const void* a, const void* b, void* y, long long pre, long long mid,
                        long long post) noexcept nogil:
    cdef int64_t[3] dims, a_strides, b_strides
    dims[0], dims[1], dims[2] = pre, mid, post
    a_strides[0], a_strides[1], a_strides[2] = mid * post, post, 1
    b_strides[0], b_strides[1], b_strides[2] = 0, 1, 0
    binary_strided(f, a, a_strides, b, b_strides, y, 3, dims)


cdef void fold(const Kernel* f, const void* const* inputs, int count, void* y, long long n) noexcept nogil:
    cdef sq_fold_job job
    job.inputs = inputs
    job.count = count
    job.y = y
    parallel_range(f.rows[level()], &job, n, ALIGN, team_size(n * count))


@cython.boundscheck(False)
def py_binary(str name, a, b, y) -> None:
    """Equal shapes."""
    cdef Kernel f
    cdef const uint8_t[::1] a_bytes = a.reshape(-1).view("uint8")
    cdef const uint8_t[::1] b_bytes = b.reshape(-1).view("uint8")
    cdef uint8_t[::1] y_bytes = y.reshape(-1).view("uint8")
    find_kernel(&f, name)
    binary(&f, &a_bytes[0], &b_bytes[0], &y_bytes[0], y.size)


@cython.boundscheck(False)
def py_binary_strided(str name, a, tuple a_strides, b, tuple b_strides, y) -> None:
    """a and b hold what the strides (in elements) reach over y's dims."""
    cdef Kernel f
    cdef const uint8_t[::1] a_bytes = a.reshape(-1).view("uint8")
    cdef const uint8_t[::1] b_bytes = b.reshape(-1).view("uint8")
    cdef uint8_t[::1] y_bytes = y.reshape(-1).view("uint8")
    cdef int64_t[SQ_MAX_DIMS] dims, sa, sb
    cdef int d
    find_kernel(&f, name)
    for d in range(y.ndim):
        dims[d], sa[d], sb[d] = y.shape[d], a_strides[d], b_strides[d]
    binary_strided(&f, &a_bytes[0], sa, &b_bytes[0], sb, &y_bytes[0], y.ndim, dims)


@cython.boundscheck(False)
def py_binary_middle(str name, a, b, y, long long pre, long long mid, long long post) -> None:
    """a, y: (pre, mid, post); b: (mid,)."""
    cdef Kernel f
    cdef const uint8_t[::1] a_bytes = a.reshape(-1).view("uint8")
    cdef const uint8_t[::1] b_bytes = b.reshape(-1).view("uint8")
    cdef uint8_t[::1] y_bytes = y.reshape(-1).view("uint8")
    find_kernel(&f, name)
    binary_middle(&f, &a_bytes[0], &b_bytes[0], &y_bytes[0], pre, mid, post)


@cython.boundscheck(False)
def py_fold(str name, list inputs, y) -> None:
    """y = finish(f(f(x0, x1), x2) ...) over equal shapes; at most 64 inputs here."""
    cdef Kernel f
    cdef const void* native[64]
    cdef const uint8_t[::1] data
    cdef uint8_t[::1] y_bytes = y.reshape(-1).view("uint8")
    cdef int i
    find_kernel(&f, name)
    for i, x in enumerate(inputs):
        data = x.reshape(-1).view("uint8")
        native[i] = &data[0]
    fold(&f, native, len(inputs), &y_bytes[0], y.size)
