"""Native steps of the operators on regions of interest."""
from libc.stdint cimport int32_t

from serverquant.blobs._blob cimport SQ_OK, sq_shape, sq_step
from serverquant.kernels.roi._roi cimport (
    SQ_ROI_GRID_MAX,
    SQ_ROI_FINE,
    SQ_ROI_NEGATIVE,
    SQ_ROI_NO_IMAGE,
    SQ_ROI_NOT_FINITE,
    roi_align,
    roi_fault,
    roi_pool,
    sq_roi_job,
)
from serverquant.runtime._plan cimport Step, fail


GRID_MAX = SQ_ROI_GRID_MAX

cdef struct Roi:
    sq_roi_job job
    bint nhwc, pool


cdef int refuse(sq_step* s, int fault, long long n, long long images) noexcept nogil:
    if fault == SQ_ROI_NO_IMAGE:
        return fail(s, "RoI %lld belongs to an image that is not there: its index is %g, and there are %lld images of %lld x "
                       "%lld pixels", n, (<const float*>s.in_[1].data)[n * s.in_[1].shape.dims[1]], images,
                    (<Roi*>s.ctx).job.height, (<Roi*>s.ctx).job.width)
    if fault == SQ_ROI_NOT_FINITE:
        return fail(s, "RoI %lld has a coordinate that is not a number, or too large", n)
    if fault == SQ_ROI_NEGATIVE:
        return fail(s, "RoI %lld has a negative width or height, which aligned=1 does not allow", n)
    return fail(s, "RoI %lld is too large: a bin would have more than %d points along an axis", n, SQ_ROI_GRID_MAX)


cdef int run_roi(sq_step* s) noexcept nogil:
    cdef Roi* c = <Roi*>s.ctx
    cdef const long long* dims = <const long long*>s.in_[0].shape.dims
    cdef long long count = s.in_[1].shape.dims[0], which = 0
    cdef int fault
    c.job.x, c.job.rois = <const float*>s.in_[0].data, <const float*>s.in_[1].data
    c.job.y = <float*>s.out[0].data
    c.job.argmax = <int32_t*>s.out[1].data if s.n_out > 1 else NULL
    c.job.channels, c.job.height, c.job.width = dims[1], dims[2], dims[3]
    if c.nhwc:
        c.job.channels, c.job.height, c.job.width = dims[3], dims[1], dims[2]
    fault = roi_fault(&c.job, count, dims[0], not c.pool, &which)
    if fault != SQ_ROI_FINE:
        return refuse(s, fault, which, dims[0])
    if c.pool:
        roi_pool(&c.job, count)
    else:
        roi_align(&c.job, count, c.nhwc)
    return SQ_OK


cdef int reshape_roi(sq_step* s, const sq_shape* const* inputs, sq_shape* const* outputs) noexcept nogil:
    """A new number of RoIs; the images may have changed in number alone."""
    cdef int i, k
    for i in range(s.n_out):
        outputs[i].dims[0] = inputs[1].dims[0]
        outputs[i].size = 1
        for k in range(4):
            outputs[i].size *= outputs[i].dims[k]
    return SQ_OK


def roi_step(int columns, int pooled_h, int pooled_w, float spatial_scale, *, int sampling_ratio=0, bint aligned=False,
             bint rotated=False, bint nhwc=False, bint pool=False) -> Step:
    """Cuts the RoIs of input 1, of so many columns, out of the maps of input 0."""
    cdef Step step = Step()
    cdef Roi* c = <Roi*>step.new_context(sizeof(Roi))
    c.job.columns, c.job.pooled_h, c.job.pooled_w = columns, pooled_h, pooled_w
    c.job.spatial_scale, c.job.sampling_ratio = spatial_scale, sampling_ratio
    c.job.aligned, c.job.rotated = aligned, rotated
    c.nhwc, c.pool = nhwc, pool
    step.c.run = run_roi
    step.c.reshape = reshape_roi
    step.kernel = "roi_pool_f32" if pool else "roi_align_nhwc_f32" if nhwc else "roi_align_nchw_f32"
    return step
