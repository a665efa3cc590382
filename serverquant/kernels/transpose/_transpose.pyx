"""Moving elements and bytes. See transpose.h.

The `py_` functions run the same code on contiguous arrays, for tests and tools.
Bounds are not checked there in any build: the address of an empty array's first element is taken, never read.
"""
cimport cython
from libc.stdint cimport int64_t, uint8_t
from libc.string cimport memcpy

from serverquant._base._isa cimport level
from serverquant._base._threads cimport parallel_range, range_fn, team_size
from serverquant.kernels._rows cimport fill_levels, row_objects, sq_row

cdef extern from "transpose.h" nogil:
    const sq_row* sq_transpose_rows
    const int sq_transpose_row_count
    enum:
        SQ_TILE

    ctypedef struct sq_transpose_job:
        const void* x
        void* y
        long long rows
        long long cols

    ctypedef struct sq_permute_job:
        const void* x
        void* y
        int ndim
        int64_t* dims
        int64_t* strides

    ctypedef struct sq_gather_job:
        const void* x
        void* y
        const void* indices
        int index_bytes
        long long count
        long long dim
        long long slice_bytes

    ctypedef struct sq_copy_job:
        const sq_rows* parts
        int count

    void sq_permute_prepare(sq_permute_job* job, int ndim, const int64_t* x_dims, const int* axes)
    int sq_repeat_prepare(sq_permute_job* job, int ndim, const int64_t* x_dims, const int64_t* y_dims)
    long long sq_gather_check(const void* indices, int index_bytes, long long count, long long lowest, long long dim)

# Inner borders of ranges of elements: whole cache lines of bytes.
cdef enum:
    ALIGN = 64

# Bytes that memcpy moves in the time of one elementary operation.
cdef enum:
    BYTES_PER_WORK = 8

# A single copy is cut into rows of this many bytes.
cdef enum:
    COPY_ROW = 4096

cdef range_fn[4][3] TRANSPOSE_2D, PERMUTE   # [log2 of the element's bytes][level]
cdef range_fn[3] GATHER, COPY_ROWS


cdef int _choose_rows() except -1:
    cdef const sq_row* rows = sq_transpose_rows
    cdef int count = sq_transpose_row_count
    for k, size in enumerate((b"1", b"2", b"4", b"8")):
        fill_levels(TRANSPOSE_2D[<int>k], rows, count, b"transpose_2d_" + size)
        fill_levels(PERMUTE[<int>k], rows, count, b"permute_" + size)
    fill_levels(GATHER, rows, count, b"gather")
    fill_levels(COPY_ROWS, rows, count, b"copy_rows")
    return 0


_choose_rows()


def rows() -> list:
    """The kernel table, fastest first for each op."""
    return row_objects("transpose", sq_transpose_rows, sq_transpose_row_count)


cdef inline int _log2(int elem_bytes) noexcept nogil:
    return 0 if elem_bytes == 1 else 1 if elem_bytes == 2 else 2 if elem_bytes == 4 else 3


cdef void transpose_2d(int elem_bytes, const void* x, void* y, long long batch, long long rows,
                       long long cols) noexcept nogil:
    cdef sq_transpose_job job
    cdef long long tiles
    if rows <= 1 or cols <= 1:
        copy_bytes(x, y, batch * rows * cols * elem_bytes)
        return
    job.x = x
    job.y = y
    job.rows = rows
    job.cols = cols
    tiles = batch * ((rows + SQ_TILE - 1) // SQ_TILE) * ((cols + SQ_TILE - 1) // SQ_TILE)
    parallel_range(TRANSPOSE_2D[_log2(elem_bytes)][level()], &job, tiles, 1, team_size(batch * rows * cols))


cdef void transpose_here(const uint8_t* x, uint8_t* y, long long rows, long long cols) noexcept nogil:
    cdef sq_transpose_job job
    job.x, job.y, job.rows, job.cols = x, y, rows, cols
    TRANSPOSE_2D[0][level()](&job, 0, ((rows + SQ_TILE - 1) // SQ_TILE) * ((cols + SQ_TILE - 1) // SQ_TILE))


cdef void permute(int elem_bytes, const void* x, void* y, int ndim, const int64_t* x_dims,
                  const int* axes) noexcept nogil:
    cdef sq_permute_job job
    cdef long long n = 1
    cdef int d
    for d in range(ndim):
        n *= x_dims[d]
    if n == 0:
        return
    sq_permute_prepare(&job, ndim, x_dims, axes)
    d = job.ndim - 1
    if d == 0:
        copy_bytes(x, y, n * elem_bytes)
        return
    # The last two dims swapped, and whatever stands before them in place, is a batch of plain transpositions.
    if job.strides[d - 1] == 1 and job.strides[d] == job.dims[d - 1] and (
            d == 1 or (d == 2 and job.strides[0] == job.dims[1] * job.dims[2])):
        transpose_2d(elem_bytes, x, y, n // (job.dims[d] * job.dims[d - 1]), job.dims[d], job.dims[d - 1])
        return
    job.x = x
    job.y = y
    parallel_range(PERMUTE[_log2(elem_bytes)][level()], &job, n, ALIGN, team_size(n))


cdef bint repeat(int elem_bytes, const void* x, void* y, int ndim, const int64_t* x_dims,
                 const int64_t* y_dims) noexcept nogil:
    cdef sq_permute_job job
    cdef long long n = 1
    cdef int d
    for d in range(ndim):
        n *= y_dims[d]
    if n == 0:
        return True
    if not sq_repeat_prepare(&job, ndim, x_dims, y_dims):
        return False
    job.x = x
    job.y = y
    parallel_range(PERMUTE[_log2(elem_bytes)][level()], &job, n, ALIGN, team_size(n))
    return True


cdef long long gather(const void* x, void* y, const void* indices, int index_bytes, long long count, long long outer,
                      long long dim, long long slice_bytes, bint wrap) noexcept nogil:
    cdef sq_gather_job job
    cdef long long bad = sq_gather_check(indices, index_bytes, count, -dim if wrap else 0, dim)
    if bad >= 0:
        return bad
    job.x = x
    job.y = y
    job.indices = indices
    job.index_bytes = index_bytes
    job.count = count
    job.dim = dim
    job.slice_bytes = slice_bytes
    parallel_range(GATHER[level()], &job, outer * count, 1, team_size(outer * count * (1 + slice_bytes // BYTES_PER_WORK)))
    return -1


cdef void copy_rows(const sq_rows* parts, int count, long long rows) noexcept nogil:
    cdef sq_copy_job job
    cdef long long bytes = 0
    cdef int i
    if rows == 1 or (count == 1 and parts.x_pitch == parts.row_bytes == parts.y_pitch):
        for i in range(count):
            copy_bytes(parts[i].x, parts[i].y, parts[i].row_bytes * rows)
        return
    for i in range(count):
        bytes += parts[i].row_bytes
    job.parts, job.count = parts, count
    parallel_range(COPY_ROWS[level()], &job, rows, 1, team_size(rows * (count + bytes // BYTES_PER_WORK)))


cdef void copy_bytes(const void* x, void* y, long long n) noexcept nogil:
    cdef sq_rows lines
    cdef sq_copy_job job
    cdef long long whole = n // COPY_ROW
    cdef int team = team_size(n // BYTES_PER_WORK)
    if team == 1 or whole < team:
        memcpy(y, x, n)
        return
    lines.x, lines.y = x, y
    lines.x_pitch = lines.y_pitch = lines.row_bytes = COPY_ROW
    job.parts, job.count = &lines, 1
    parallel_range(COPY_ROWS[level()], &job, whole, 1, team)
    memcpy(<char*>y + whole * COPY_ROW, <const char*>x + whole * COPY_ROW, n - whole * COPY_ROW)


cdef const uint8_t[::1] _bytes(array):
    return array.reshape(-1).view("uint8")


cdef uint8_t[::1] _writable_bytes(array):
    return array.reshape(-1).view("uint8")


@cython.boundscheck(False)
def py_transpose_2d(x, y) -> None:
    """x: (batch, rows, cols); y: (batch, cols, rows)."""
    transpose_2d(x.itemsize, &_bytes(x)[0], &_writable_bytes(y)[0], x.shape[0], x.shape[1], x.shape[2])


@cython.boundscheck(False)
def py_permute(x, y, tuple axes) -> None:
    """y = x.transpose(axes)."""
    cdef int64_t[SQ_PERMUTE_DIMS] dims
    cdef int[SQ_PERMUTE_DIMS] native_axes
    cdef int d
    for d in range(x.ndim):
        dims[d], native_axes[d] = x.shape[d], axes[d]
    permute(x.itemsize, &_bytes(x)[0], &_writable_bytes(y)[0], x.ndim, dims, native_axes)


@cython.boundscheck(False)
def py_gather(x, y, indices, bint wrap=False) -> int:
    """x: (outer, dim, slice); y: (outer, count, slice). Returns -1 or the position of a bad index."""
    return gather(&_bytes(x)[0], &_writable_bytes(y)[0], &_bytes(indices)[0], indices.itemsize, indices.size,
                  x.shape[0], x.shape[1], x.shape[2] * x.itemsize, wrap)


@cython.boundscheck(False)
def py_repeat(x, y) -> bool:
    """y = x repeated along each dim until it is full."""
    cdef int64_t[SQ_PERMUTE_DIMS] x_dims
    cdef int64_t[SQ_PERMUTE_DIMS] y_dims
    cdef int d
    for d in range(x.ndim):
        x_dims[d], y_dims[d] = x.shape[d], y.shape[d]
    return repeat(x.itemsize, &_bytes(x)[0], &_writable_bytes(y)[0], x.ndim, x_dims, y_dims)


@cython.boundscheck(False)
def py_copy_rows(xs, y, long long y_pitch, long long rows) -> None:
    """Joins the rows of up to 16 arrays (rows, bytes) of uint8 side by side, each row y_pitch bytes behind the last."""
    cdef sq_rows[16] parts
    cdef char* at = <char*>&_writable_bytes(y)[0]
    cdef int i
    for i, x in enumerate(xs[:16]):
        parts[i].x, parts[i].y = &_bytes(x)[0], at
        parts[i].x_pitch = parts[i].row_bytes = x.shape[1]
        parts[i].y_pitch = y_pitch
        at += x.shape[1]
    copy_rows(parts, min(len(xs), 16), rows)


@cython.boundscheck(False)
def py_copy_bytes(x, y) -> None:
    copy_bytes(&_bytes(x)[0], &_writable_bytes(y)[0], x.nbytes)
