"""RoIs of feature maps: see roi.h for the rules."""
from libc.stdint cimport int32_t, uint8_t

cdef extern from "roi.h" nogil:
    enum:
        SQ_ROI_FINE
        SQ_ROI_NO_IMAGE
        SQ_ROI_NOT_FINITE
        SQ_ROI_NEGATIVE
        SQ_ROI_TOO_LARGE
        SQ_ROI_GRID_MAX
    ctypedef struct sq_roi_job:
        const float* x
        const float* rois
        float* y
        int32_t* argmax
        long long channels, height, width
        int columns
        int pooled_h, pooled_w, sampling_ratio
        float spatial_scale
        int aligned
        int rotated

    ctypedef struct sq_roi_u8_job:
        sq_roi_job base
        const uint8_t* x
        uint8_t* y
        int32_t x_zero_point, y_zero_point, multiplier
        int shift

# What is wrong with RoI number which[0], or SQ_ROI_FINE; `points`: bins are to be sampled.
cdef int roi_fault(const sq_roi_job* job, long long count, long long images, bint points,
                   long long* which) noexcept nogil

# `count` RoIs without fault.
cdef void roi_align(const sq_roi_job* job, long long count, bint nhwc) noexcept nogil
cdef void roi_align_u8(const sq_roi_u8_job* job, long long count) noexcept nogil
cdef void roi_pool(const sq_roi_job* job, long long count) noexcept nogil
