"""Images in other sizes. See resize.h.

The `py_` functions run the same code on contiguous arrays, for tests and tools.
Bounds are not checked there in any build: the address of an empty array's first element is taken, never read.
"""
cimport cython
from libc.stdint cimport int32_t, int64_t, uint8_t

from serverquant._base._isa cimport level
from serverquant._base._threads cimport parallel_range, range_fn, team_size
from serverquant.kernels._rows cimport fill_levels, row_objects, sq_row

cdef extern from "resize.h" nogil:
    const sq_row* sq_resize_rows
    const int sq_resize_row_count

    ctypedef struct sq_remap_job:
        const void* x
        void* y
        const void* fill
        const int32_t* map[3]
        int64_t from_ "from"[3]
        int64_t to[3]
        int64_t elem_bytes

    ctypedef struct sq_bilinear_job:
        const float* x
        float* y
        sq_side rows
        sq_side columns

    void sq_remap_prepare(sq_remap_job* job)

# Bytes that are moved in the time of one elementary operation.
cdef enum:
    BYTES_PER_WORK = 8

cdef range_fn[3] REMAP_1, REMAP_2, REMAP_4, REMAP_8, REMAP_BLOCK, BILINEAR

fill_levels(REMAP_1, sq_resize_rows, sq_resize_row_count, b"remap_1")
fill_levels(REMAP_2, sq_resize_rows, sq_resize_row_count, b"remap_2")
fill_levels(REMAP_4, sq_resize_rows, sq_resize_row_count, b"remap_4")
fill_levels(REMAP_8, sq_resize_rows, sq_resize_row_count, b"remap_8")
fill_levels(REMAP_BLOCK, sq_resize_rows, sq_resize_row_count, b"remap_block")
fill_levels(BILINEAR, sq_resize_rows, sq_resize_row_count, b"bilinear_f32")


def rows() -> list:
    """The kernel table, fastest first for each op."""
    return row_objects("resize", sq_resize_rows, sq_resize_row_count)


cdef range_fn remap_fn(long long elem_bytes) noexcept nogil:
    if elem_bytes == 1:
        return REMAP_1[level()]
    if elem_bytes == 2:
        return REMAP_2[level()]
    if elem_bytes == 4:
        return REMAP_4[level()]
    if elem_bytes == 8:
        return REMAP_8[level()]
    return REMAP_BLOCK[level()]


cdef void remap(const void* x, void* y, long long elem_bytes, long long planes, const int64_t* from_, const int64_t* to,
                const int32_t** map, const void* fill) noexcept nogil:
    cdef sq_remap_job job
    cdef long long count = planes * to[0] * to[1]
    cdef int i
    job.x = x
    job.y = y
    job.fill = fill
    job.elem_bytes = elem_bytes
    for i in range(3):
        job.map[i] = map[i]
        job.from_[i] = from_[i]
        job.to[i] = to[i]
    sq_remap_prepare(&job)
    if to[2]:
        parallel_range(remap_fn(elem_bytes), &job, count, 1, team_size(count * (1 + to[2] * elem_bytes // BYTES_PER_WORK)))


cdef void bilinear_f32(const float* x, float* y, long long planes, const sq_side* rows,
                       const sq_side* columns) noexcept nogil:
    cdef sq_bilinear_job job
    job.x = x
    job.y = y
    job.rows = rows[0]
    job.columns = columns[0]
    parallel_range(BILINEAR[level()], &job, planes * rows.to, 1, team_size(2 * planes * rows.to * columns.to))


cdef const uint8_t[::1] _bytes(array):
    return array.reshape(-1).view("uint8")


@cython.boundscheck(False)
def py_remap(x, y, const int32_t[::1] frames, const int32_t[::1] rows, const int32_t[::1] columns, fill) -> None:
    """x: (planes, frames, rows, columns, elements of a block), y likewise; fill: (columns, block)."""
    cdef int64_t[3] from_
    cdef int64_t[3] to
    cdef const int32_t* maps[3]
    cdef uint8_t[::1] out = y.reshape(-1).view("uint8")
    cdef int i
    for i in range(3):
        from_[i], to[i] = x.shape[i + 1], y.shape[i + 1]
    maps[0], maps[1], maps[2] = &frames[0], &rows[0], &columns[0]
    remap(&_bytes(x)[0], &out[0], x.shape[4] * x.itemsize, x.shape[0], from_, to, maps, &_bytes(fill)[0])


@cython.boundscheck(False)
def py_bilinear_f32(const float[:, :, ::1] x, float[:, :, ::1] y, tuple rows, tuple columns) -> None:
    """rows and columns: (first, second, weight), one for each of y's."""
    cdef sq_side[2] sides
    cdef const int32_t[::1] first, second
    cdef const float[::1] weight
    for i, side in enumerate((rows, columns)):
        first, second, weight = side
        sides[i].first, sides[i].second, sides[i].weight = &first[0], &second[0], &weight[0]
        sides[i].from_, sides[i].to = x.shape[i + 1], y.shape[i + 1]
    bilinear_f32(&x[0, 0, 0], &y[0, 0, 0], x.shape[0], &sides[0], &sides[1])
