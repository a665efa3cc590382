"""Regions of interest cut out of feature maps. See roi.h."""
from serverquant._base._isa cimport level
from serverquant._base._threads cimport parallel_range, range_fn, team_size
from serverquant.kernels._rows cimport fill_levels, row_objects, sq_row

cdef extern from "roi.h" nogil:
    const sq_row* sq_roi_rows
    const int sq_roi_row_count

    int sq_roi_fault(const sq_roi_job* job, long long count, long long images, int points, long long* which)

cdef range_fn[3] NCHW, NHWC, BYTES, POOL

fill_levels(NCHW, sq_roi_rows, sq_roi_row_count, b"roi_align_nchw_f32")
fill_levels(NHWC, sq_roi_rows, sq_roi_row_count, b"roi_align_nhwc_f32")
fill_levels(BYTES, sq_roi_rows, sq_roi_row_count, b"roi_align_u8")
fill_levels(POOL, sq_roi_rows, sq_roi_row_count, b"roi_pool_f32")


def rows() -> list:
    """The kernel table, fastest first for each op."""
    return row_objects("roi", sq_roi_rows, sq_roi_row_count)


cdef int roi_fault(const sq_roi_job* job, long long count, long long images, bint points,
                   long long* which) noexcept nogil:
    return sq_roi_fault(job, count, images, points, which)


cdef void roi_align(const sq_roi_job* job, long long count, bint nhwc) noexcept nogil:
    cdef long long points = job.sampling_ratio * job.sampling_ratio if job.sampling_ratio > 0 else 4
    cdef int team = team_size(count * job.channels * job.pooled_h * job.pooled_w * points * 4)
    parallel_range(NHWC[level()] if nhwc else NCHW[level()], job, count, 1, team)


cdef void roi_align_u8(const sq_roi_u8_job* job, long long count) noexcept nogil:
    cdef long long points = job.base.sampling_ratio * job.base.sampling_ratio if job.base.sampling_ratio > 0 else 4
    cdef int team = team_size(count * job.base.channels * job.base.pooled_h * job.base.pooled_w * points * 4)
    parallel_range(BYTES[level()], job, count, 1, team)


cdef void roi_pool(const sq_roi_job* job, long long count) noexcept nogil:
    cdef int team = team_size(count * job.channels * job.pooled_h * job.pooled_w * 16)
    parallel_range(POOL[level()], job, count, 1, team)
