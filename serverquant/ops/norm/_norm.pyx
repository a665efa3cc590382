"""Native steps of normalisation and softmax."""
from libc.stdint cimport int64_t
from libc.string cimport memcpy, memset

from serverquant.blobs._blob cimport SQ_OK, sq_step, sq_tensor
from serverquant.kernels._bounds cimport read_bounds, sq_bounds
from serverquant.kernels.norm._norm cimport affine_channels, fold_norm, local_response, row_norm
from serverquant.kernels.softmax._softmax cimport softmax_f32
from serverquant.runtime._plan cimport Step, fail


cdef struct SpatialBN:
    int64_t channels, inner
    float epsilon
    sq_bounds bounds

cdef int run_spatial_bn(sq_step* s) noexcept nogil:
    cdef SpatialBN* c = <SpatialBN*>s.ctx
    cdef int64_t block = c.channels * c.inner
    cdef float* alpha = <float*>s.scratch(s, 2 * c.channels * sizeof(float))
    if alpha == NULL:
        return fail(s, "no memory for scratch")
    # A few hundred channels against a whole image: folding anew costs less than keeping track of four inputs.
    fold_norm(<float*>s.in_[1].data, <float*>s.in_[2].data, <float*>s.in_[3].data, <float*>s.in_[4].data, c.epsilon,
              c.channels, alpha, alpha + c.channels)
    affine_channels(<float*>s.in_[0].data, <float*>s.out[0].data, alpha, alpha + c.channels,
                    s.in_[0].shape.size // block if block else 0, c.channels, c.inner, &c.bounds)
    return SQ_OK


def spatial_bn_step(int axis, int64_t channels, int64_t inner, float epsilon, *, bounds=None) -> Step:
    """X is (outer, channels, inner). bounds: (lo, hi) of Y."""
    cdef Step step = Step()
    cdef SpatialBN* c = <SpatialBN*>step.new_context(sizeof(SpatialBN))
    c.channels, c.inner, c.epsilon, c.bounds = channels, inner, epsilon, read_bounds(bounds)
    step.c.run = run_spatial_bn
    step.c.rows = 1 if axis > 0 else 0
    step.kernel = "affine_channels"
    return step


cdef struct Softmax:
    int axis

cdef int run_softmax(sq_step* s) noexcept nogil:
    cdef sq_tensor* x = s.in_[0]
    cdef int64_t rows = 1, width = 1
    cdef int i
    for i in range(x.shape.ndim):
        if i < (<Softmax*>s.ctx).axis:
            rows *= x.shape.dims[i]
        else:
            width *= x.shape.dims[i]
    softmax_f32(<float*>x.data, <float*>s.out[0].data, rows, width)
    return SQ_OK


def softmax_step(int axis) -> Step:
    """Rows are the dims before `axis`."""
    cdef Step step = Step()
    (<Softmax*>step.new_context(sizeof(Softmax))).axis = axis
    step.c.run = run_softmax
    step.c.rows = 1
    step.kernel = "softmax_f32"
    return step


# ---- LayerNorm, RMSNorm --------------------------------------------------------------------------------------------

cdef struct RowNorm:
    int axis
    float epsilon
    bint affine, centred

cdef int run_row_norm(sq_step* s) noexcept nogil:
    cdef RowNorm* c = <RowNorm*>s.ctx
    cdef sq_tensor* x = s.in_[0]
    cdef const float* gamma = <const float*>s.in_[1].data if c.affine else NULL
    cdef const float* beta = <const float*>s.in_[2].data if c.affine else NULL
    cdef int64_t rows = 1, inner = 1
    cdef int i
    for i in range(x.shape.ndim):
        if i < c.axis:
            rows *= x.shape.dims[i]
        else:
            inner *= x.shape.dims[i]
    row_norm(<float*>x.data, <float*>s.out[0].data, gamma, beta, <float*>s.out[1].data if c.centred else NULL,
             <float*>s.out[2 if c.centred else 1].data, rows, inner, c.epsilon)
    return SQ_OK


def row_norm_step(int axis, float epsilon, *, bint affine, bint centred) -> Step:
    """Rows are the dims before `axis`. centred: LayerNorm (Y, mean, deviation), else RMSNorm (Y, 1 / root)."""
    cdef Step step = Step()
    cdef RowNorm* c = <RowNorm*>step.new_context(sizeof(RowNorm))
    c.axis, c.epsilon, c.affine, c.centred = axis, epsilon, affine, centred
    step.c.run = run_row_norm
    step.c.rows = axis > 0
    step.kernel = "row_norm_f32"
    return step


# ---- LRN -----------------------------------------------------------------------------------------------------------

cdef struct Response:
    int64_t channels, inner, size
    float alpha, beta, bias
    bint nhwc

cdef int run_response(sq_step* s) noexcept nogil:
    cdef Response* c = <Response*>s.ctx
    local_response(<float*>s.in_[0].data, <float*>s.out[0].data, <float*>s.out[1].data if s.n_out > 1 else NULL,
                   s.in_[0].shape.dims[0], c.channels, c.inner, c.size, c.alpha, c.beta, c.bias, c.nhwc)
    return SQ_OK


def response_step(int64_t channels, int64_t inner, int64_t size, float alpha, float beta, float bias, *, bint nhwc) -> Step:
    """Local response normalisation over `size` channels."""
    cdef Step step = Step()
    cdef Response* c = <Response*>step.new_context(sizeof(Response))
    c.channels, c.inner, c.size = channels, inner, size
    c.alpha, c.beta, c.bias, c.nhwc = alpha, beta, bias, nhwc
    step.c.run = run_response
    step.c.rows = 1
    step.kernel = "lrn_nhwc_f32" if nhwc else "lrn_nchw_f32"
    return step


# ---- Dropout in a test ---------------------------------------------------------------------------------------------

cdef int run_keep(sq_step* s) noexcept nogil:
    cdef sq_tensor* x = s.in_[0]
    if s.out[0].data != x.data:
        memcpy(s.out[0].data, x.data, x.shape.size * x.shape.item_bytes)
    s.out[0].scale, s.out[0].zero_point = x.scale, x.zero_point
    if s.n_out > 1:
        memset(s.out[1].data, 1, s.out[1].shape.size)
    return SQ_OK


def keep_step() -> Step:
    """Copies the input; output 1, if there, says that all of it was kept."""
    cdef Step step = Step()
    step.c.run = run_keep
    step.c.rows = 1
    step.kernel = "copy"
    return step
