"""Native steps of normalisation and softmax."""
from libc.stdint cimport int64_t

from serverquant.blobs._blob cimport SQ_OK, sq_step, sq_tensor
from serverquant.kernels.norm._norm cimport affine_channels, fold_norm
from serverquant.kernels.softmax._softmax cimport softmax_f32
from serverquant.runtime._plan cimport Step, fail


cdef struct SpatialBN:
    int64_t channels, inner
    float epsilon

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
                    s.in_[0].shape.size // block if block else 0, c.channels, c.inner)
    return SQ_OK


def spatial_bn_step(int axis, int64_t channels, int64_t inner, float epsilon) -> Step:
    """X is (outer, channels, inner)."""
    cdef Step step = Step()
    cdef SpatialBN* c = <SpatialBN*>step.new_context(sizeof(SpatialBN))
    c.channels, c.inner, c.epsilon = channels, inner, epsilon
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
