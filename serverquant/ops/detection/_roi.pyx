"""Native steps of the operators on regions of interest."""
from libc.math cimport frexp, rint
from libc.stdint cimport int32_t, int64_t, uint8_t

from serverquant.blobs._blob cimport SQ_ERROR, SQ_OK, sq_shape, sq_step, sq_tensor
from serverquant.kernels.roi._roi cimport (
    SQ_ROI_GRID_MAX,
    SQ_ROI_FINE,
    SQ_ROI_NEGATIVE,
    SQ_ROI_NO_IMAGE,
    SQ_ROI_NOT_FINITE,
    roi_align,
    roi_align_u8,
    roi_fault,
    roi_pool,
    sq_roi_job,
    sq_roi_u8_job,
)
from serverquant.kernels.transpose._transpose cimport transpose_2d
from serverquant.runtime._plan cimport Step, fail


GRID_MAX = SQ_ROI_GRID_MAX

# Outputs that are turned at once: enough RoIs for a team, and no more than a cache holds.
cdef enum:
    GROUP_ELEMENTS = 1 << 20

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


cdef bint pays_to_turn(const sq_roi_job* j, long long count, long long images) noexcept nogil:
    """Whether moving the channels last is quicker than gathering points plane by plane. The bytes are the same."""
    return j.channels >= 8 and count * j.pooled_h * j.pooled_w * 4 >= images * j.height * j.width


cdef int align_turned(sq_step* s, long long count, long long images) noexcept nogil:
    """NCHW with the channels last inside: the maps are turned once, the outputs group by group."""
    cdef sq_roi_job job = (<Roi*>s.ctx).job
    cdef long long pixels = job.height * job.width, bins = job.pooled_h * job.pooled_w
    cdef long long group = GROUP_ELEMENTS // (bins * job.channels) + 1, maps = images * job.channels * pixels
    cdef long long n
    cdef float* y = job.y
    cdef float* turned
    group = min(group, count)
    turned = <float*>s.scratch(s, (maps + group * bins * job.channels) * sizeof(float))
    if turned == NULL:
        return fail(s, "no memory for scratch")
    transpose_2d(4, job.x, turned, images, job.channels, pixels)
    job.x, job.y = turned, turned + maps
    while count > 0:
        n = min(group, count)
        roi_align(&job, n, True)
        transpose_2d(4, job.y, y, n, bins, job.channels)
        y += n * bins * job.channels
        job.rois += n * job.columns
        count -= n
    return SQ_OK


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
    elif not c.nhwc and pays_to_turn(&c.job, count, dims[0]):
        return align_turned(s, count, dims[0])
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


# ---- mobile set ----------------------------------------------------------------------------------------------------

cdef struct RoiU8:
    Roi place               # first, so that the two share `refuse`
    float scale
    int zero_point


cdef int set_multiplier(sq_step* s, sq_roi_u8_job* job, double ratio) noexcept nogil:
    """ratio = multiplier * 2^-(31 + shift); SQ_OK or SQ_ERROR."""
    cdef int exponent = 1
    cdef int64_t multiplier = 0
    if ratio > 0 and ratio < 1:
        multiplier = <int64_t>rint(frexp(ratio, &exponent) * 2147483648.0)
        if multiplier == <int64_t>1 << 31:
            multiplier, exponent = multiplier // 2, exponent + 1
    if exponent > 0 or exponent < -30:
        return fail(s, "the ratio of scales, input / (output * 255 * points of a bin), is %g; it must be from 2^-31 to "
                       "below 1", ratio)
    job.multiplier, job.shift = <int32_t>multiplier, -exponent
    return SQ_OK


cdef int run_roi_u8(sq_step* s) noexcept nogil:
    cdef RoiU8* c = <RoiU8*>s.ctx
    cdef const sq_tensor* x = s.in_[0]
    cdef sq_tensor* y = s.out[0]
    cdef sq_roi_u8_job job
    cdef long long count = s.in_[1].shape.dims[0], which = 0
    cdef int fault, points
    c.place.job.rois = <const float*>s.in_[1].data
    c.place.job.height, c.place.job.width, c.place.job.channels = x.shape.dims[1], x.shape.dims[2], x.shape.dims[3]
    fault = roi_fault(&c.place.job, count, x.shape.dims[0], True, &which)
    if fault != SQ_ROI_FINE:
        return refuse(s, fault, which, x.shape.dims[0])
    points = c.place.job.sampling_ratio * c.place.job.sampling_ratio
    job.base = c.place.job
    job.x, job.y = <const uint8_t*>x.data, <uint8_t*>y.data
    job.x_zero_point, job.y_zero_point = x.zero_point, c.zero_point
    if set_multiplier(s, &job, <double>x.scale / (<double>c.scale * 255 * points)) != SQ_OK:
        return SQ_ERROR
    roi_align_u8(&job, count)
    y.scale, y.zero_point = c.scale, c.zero_point
    return SQ_OK


def roi_u8_step(int columns, int pooled_h, int pooled_w, float spatial_scale, int sampling_ratio, float scale,
                int zero_point) -> Step:
    """RoIAlign of NHWC bytes into an output of this scale and zero point."""
    cdef Step step = Step()
    cdef RoiU8* c = <RoiU8*>step.new_context(sizeof(RoiU8))
    c.place.job.columns, c.place.job.pooled_h, c.place.job.pooled_w = columns, pooled_h, pooled_w
    c.place.job.spatial_scale, c.place.job.sampling_ratio = spatial_scale, sampling_ratio
    c.scale, c.zero_point = scale, zero_point
    step.c.run = run_roi_u8
    step.c.reshape = reshape_roi
    step.kernel = "roi_align_u8"
    return step
