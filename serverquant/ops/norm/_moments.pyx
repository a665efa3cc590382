"""Native steps that normalise by means and variances of their own input: GroupNorm, InstanceNorm, SpatialBN in
training."""
from libc.math cimport INFINITY, sqrtf
from libc.stdint cimport int64_t

from serverquant.blobs._blob cimport SQ_OK, sq_step
from serverquant.kernels.norm._norm cimport affine_channels, column_sums, row_sums
from serverquant.ops.dnnlowp._params cimport room
from serverquant.runtime._plan cimport Step, fail


# ---- GroupNorm; InstanceNorm is the case of as many groups as channels ---------------------------------------------

cdef struct GroupNorm:
    int64_t channels, groups, inner
    float epsilon
    bint nhwc

cdef void group_sums(const GroupNorm* c, const float* x, const float* centre, double* sums, double* columns,
                     int64_t images) noexcept nogil:
    """sums [images * groups] of x, or of squares of distances from `centre` [images * (NHWC: channels; else groups)]."""
    cdef int64_t width = c.channels // c.groups, i, k
    if not c.nhwc:
        row_sums(x, centre, images * c.groups, sums, images * c.groups, width * c.inner)
        return
    column_sums(x, centre, columns, images, c.inner, c.channels)
    for i in range(images * c.groups):
        sums[i] = 0
        for k in range(width):
            sums[i] += columns[i * width + k]


cdef void normalise_groups(const GroupNorm* c, sq_step* s, int64_t images, float* mean, float* rstd, double* sums,
                           double* columns, float* alpha, float* beta) noexcept nogil:
    cdef const float* x = <const float*>s.in_[0].data
    cdef const float* gamma = <const float*>s.in_[1].data
    cdef const float* shift = <const float*>s.in_[2].data
    cdef float* y = <float*>s.out[0].data
    cdef int64_t groups = images * c.groups, width = c.channels // c.groups, image = c.channels * c.inner, i
    cdef double count = <double>(width * c.inner)
    cdef float moved
    group_sums(c, x, NULL, sums, columns, images)
    for i in range(groups):
        mean[i] = <float>(sums[i] / count)
    for i in range(images * c.channels):
        alpha[i] = mean[i // width]
    group_sums(c, x, alpha if c.nhwc else mean, sums, columns, images)
    for i in range(groups):
        rstd[i] = 1 / sqrtf(<float>(sums[i] / count) + c.epsilon)
    for i in range(images * c.channels):
        alpha[i] = gamma[i % c.channels] * rstd[i // width]
        moved = alpha[i] * mean[i // width]
        beta[i] = shift[i % c.channels] - moved
    if c.nhwc:
        for i in range(images):
            affine_channels(x + i * image, y + i * image, alpha + i * c.channels, beta + i * c.channels, c.inner,
                            c.channels, 1)
    else:
        affine_channels(x, y, alpha, beta, 1, images * c.channels, c.inner)


cdef int run_group_norm(sq_step* s) noexcept nogil:
    """Scratch: sums of groups | of columns | alpha | beta | mean and 1 / deviation, where they are no outputs."""
    cdef GroupNorm* c = <GroupNorm*>s.ctx
    cdef int64_t images = s.in_[0].shape.dims[0]
    cdef int64_t groups = room(images * c.groups * 8), channels = room(images * c.channels * 8)
    cdef char* at
    cdef float* mean
    cdef float* rstd
    if images == 0:
        return SQ_OK
    at = <char*>s.scratch(s, 3 * groups + 3 * channels)
    if at == NULL:
        return fail(s, "no memory for scratch")
    mean, rstd = <float*>(at + groups + 3 * channels), <float*>(at + 2 * groups + 3 * channels)
    if s.n_out > 1:
        mean = <float*>s.out[1].data
    if s.n_out > 2:
        rstd = <float*>s.out[2].data
    normalise_groups(c, s, images, mean, rstd, <double*>at, <double*>(at + groups), <float*>(at + groups + channels),
                     <float*>(at + groups + 2 * channels))
    return SQ_OK


def group_norm_step(int64_t channels, int64_t groups, int64_t inner, float epsilon, *, bint nhwc) -> Step:
    """X is (images, channels, inner), or (images, inner, channels) if nhwc."""
    cdef Step step = Step()
    cdef GroupNorm* c = <GroupNorm*>step.new_context(sizeof(GroupNorm))
    c.channels, c.groups, c.inner, c.epsilon, c.nhwc = channels, groups, inner, epsilon, nhwc
    step.c.run = run_group_norm
    step.c.rows = 1
    step.kernel = "affine_channels"
    return step


# ---- SpatialBN in training -----------------------------------------------------------------------------------------

cdef struct Training:
    int64_t channels, inner
    float epsilon, momentum
    int64_t batches
    bint nhwc

cdef void channel_sums(const Training* c, const float* x, const float* centre, double* sums, double* rows,
                       int64_t images) noexcept nogil:
    """sums [channels] over all images and pixels."""
    cdef int64_t i
    if c.nhwc:
        column_sums(x, centre, sums, 1, images * c.inner, c.channels)
        return
    row_sums(x, centre, c.channels, rows, images * c.channels, c.inner)
    for i in range(c.channels):
        sums[i] = rows[i]
    for i in range(c.channels, images * c.channels):
        sums[i % c.channels] += rows[i]


cdef void batch_moments(const Training* c, sq_step* s, int64_t images, float* mean, float* var, double* sums,
                        double* rows) noexcept nogil:
    cdef const float* x = <const float*>s.in_[0].data
    cdef double count = <double>(images * c.inner)
    cdef float scale = 1 / <float>(c.batches * images * c.inner)
    cdef int64_t i
    if c.batches > 1:
        for i in range(c.channels):
            mean[i] = (<const float*>s.in_[5].data)[i] * scale
            var[i] = (<const float*>s.in_[6].data)[i] * scale - mean[i] * mean[i]
        return
    channel_sums(c, x, NULL, sums, rows, images)
    for i in range(c.channels):
        mean[i] = <float>(sums[i] / count)
    channel_sums(c, x, mean, sums, rows, images)
    for i in range(c.channels):
        var[i] = <float>(sums[i] / count)


cdef void follow(const Training* c, sq_step* s, int64_t images, float* mean, float* var, float* alpha,
                 float* beta) noexcept nogil:
    """The running mean and variance, 1 / deviation in place of the variance, and the affine map."""
    cdef float* running_mean = <float*>s.out[1].data
    cdef float* running_var = <float*>s.out[2].data
    cdef int64_t count = c.batches * images * c.inner, i
    cdef float unbias = <float>count / <float>(count - 1) if count > 1 else INFINITY
    cdef float fresh = 1 - c.momentum, moved
    for i in range(c.channels):
        running_mean[i] = fresh * mean[i] + c.momentum * running_mean[i]
        running_var[i] = fresh * unbias * var[i] + c.momentum * running_var[i]
        var[i] = 1 / sqrtf(var[i] + c.epsilon)
        alpha[i] = (<const float*>s.in_[1].data)[i] * var[i]
        moved = alpha[i] * mean[i]
        beta[i] = (<const float*>s.in_[2].data)[i] - moved


cdef int run_training(sq_step* s) noexcept nogil:
    """Scratch: sums | sums of rows | alpha | beta."""
    cdef Training* c = <Training*>s.ctx
    cdef int64_t images = s.in_[0].shape.dims[0], channels = room(c.channels * 8), i
    cdef float* mean = <float*>s.out[3].data
    cdef float* var = <float*>s.out[4].data
    cdef float* alpha
    cdef float* beta
    cdef char* at
    if images == 0:
        for i in range(c.channels):
            mean[i] = var[i] = 0
        return SQ_OK
    at = <char*>s.scratch(s, 3 * channels + room(images * c.channels * 8))
    if at == NULL:
        return fail(s, "no memory for scratch")
    alpha, beta = <float*>(at + channels), <float*>(at + 2 * channels)
    batch_moments(c, s, images, mean, var, <double*>at, <double*>(at + 3 * channels))
    follow(c, s, images, mean, var, alpha, beta)
    affine_channels(<const float*>s.in_[0].data, <float*>s.out[0].data, alpha, beta,
                    images * c.inner if c.nhwc else images, c.channels, 1 if c.nhwc else c.inner)
    return SQ_OK


def training_step(int64_t channels, int64_t inner, float epsilon, float momentum, int64_t batches, *, bint nhwc) -> Step:
    """SpatialBN with statistics of the batch, or of `batches` of them whose sums are given."""
    cdef Step step = Step()
    cdef Training* c = <Training*>step.new_context(sizeof(Training))
    c.channels, c.inner, c.epsilon, c.momentum, c.batches, c.nhwc = channels, inner, epsilon, momentum, batches, nhwc
    step.c.run = run_training
    step.kernel = "affine_channels"
    return step
