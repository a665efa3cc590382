"""Columns to images and back: see col2im.h. The `py_` functions run on contiguous arrays."""
cimport cython

from serverquant._base._isa cimport level
from serverquant._base._threads cimport parallel_range, range_fn, team_size
from serverquant.kernels._rows cimport fill_levels, row_objects, sq_row
from serverquant.kernels._window cimport Window, sq_volume

cdef extern from "../kernels/col2im/col2im.h" nogil:
    const sq_row* sq_col2im_rows
    const int sq_col2im_row_count

cdef range_fn[3] TO_PLANES, TO_PIXELS, TO_PIXELS_S32, FROM_PLANES, FROM_PIXELS

fill_levels(TO_PLANES, sq_col2im_rows, sq_col2im_row_count, b"col2im_planes_f32")
fill_levels(TO_PIXELS, sq_col2im_rows, sq_col2im_row_count, b"col2im_pixels_f32")
fill_levels(TO_PIXELS_S32, sq_col2im_rows, sq_col2im_row_count, b"col2im_pixels_s32")
fill_levels(FROM_PLANES, sq_col2im_rows, sq_col2im_row_count, b"im2col_planes_f32")
fill_levels(FROM_PIXELS, sq_col2im_rows, sq_col2im_row_count, b"im2col_pixels_f32")


def rows() -> list:
    """The kernel table, fastest first for each op."""
    return row_objects("col2im", sq_col2im_rows, sq_col2im_row_count)


cdef int64_t work(const sq_col2im_job* job) noexcept nogil:
    return (sq_volume(job.window.kernel) * sq_volume(job.window.out) * job.channels * job.groups * job.images
            + sq_volume(job.window.in_) * job.channels * job.groups * job.images)


cdef void col2im(const sq_col2im_job* job, bint nhwc) noexcept nogil:
    cdef int team = team_size(work(job))
    if nhwc:
        parallel_range(TO_PIXELS[level()], job, job.images * job.window.in_[0] * job.window.in_[1], 1, team)
    else:
        parallel_range(TO_PLANES[level()], job, job.images * job.groups * job.channels, 1, team)


cdef void col2im_s32(const sq_col2im_job* job) noexcept nogil:
    parallel_range(TO_PIXELS_S32[level()], job, job.images * job.window.in_[0] * job.window.in_[1], 1,
                   team_size(work(job)))


cdef void im2col(const sq_col2im_job* job, bint nhwc) noexcept nogil:
    cdef int team = team_size(work(job))
    if nhwc:
        parallel_range(FROM_PIXELS[level()], job, job.images * sq_volume(job.window.out), 1, team)
    else:
        parallel_range(FROM_PLANES[level()], job, job.images * job.channels, 1, team)


cdef sq_col2im_job job_of(Window window, int64_t images, int64_t channels):
    cdef sq_col2im_job job
    job.window, job.images, job.channels, job.groups, job.bias = &window.raw, images, channels, 1, NULL
    return job


@cython.boundscheck(False)
def py_col2im(Window window, float[::1] cols, float[::1] y, images: int, channels: int, *, bint nhwc) -> None:
    """y from cols, all zero where nothing falls."""
    cdef sq_col2im_job job = job_of(window, images, channels)
    job.cols, job.y = &cols[0], &y[0]
    col2im(&job, nhwc)


@cython.boundscheck(False)
def py_im2col(Window window, float[::1] y, float[::1] cols, images: int, channels: int, *, bint nhwc) -> None:
    """cols from the images y."""
    cdef sq_col2im_job job = job_of(window, images, channels)
    job.cols, job.y = &cols[0], &y[0]
    im2col(&job, nhwc)
