"""Normalisation of floats, and of bytes by groups. See norm.h for the formulas.

The `py_` functions run the same code on contiguous arrays, for tests and tools.
Bounds are not checked there in any build: the address of an empty array's first element is taken, never read.
"""
cimport cython
from libc.math cimport INFINITY
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t

from serverquant._base._isa cimport level
from serverquant._base._threads cimport parallel_range, range_fn, team_size
from serverquant.kernels._bounds cimport read_bounds, sq_bounds
from serverquant.kernels._rows cimport fill_levels, row_objects, sq_row

cdef extern from "norm.h" nogil:
    const sq_row* sq_norm_rows
    const int sq_norm_row_count

    ctypedef struct sq_affine_job:
        const float* x
        float* y
        const float* alpha
        const float* beta
        long long channels
        long long inner
        sq_bounds bounds

    enum:
        SQ_NORM_BLOCK

    ctypedef struct sq_sums_job:
        const float* x
        const float* centre
        double* sums
        long long centres, channels, inner

    ctypedef struct sq_row_norm_job:
        const float* x
        float* y
        const float* gamma
        const float* beta
        float* mean
        float* sigma
        long long inner
        float epsilon

    ctypedef struct sq_lrn_job:
        const float* x
        float* y
        float* scale
        long long channels, inner, size
        float alpha, beta, bias

    ctypedef struct sq_channel_sums_job:
        const uint8_t* x
        uint64_t* sums
        uint64_t* squares
        long long channels, inner
        int nhwc

    ctypedef struct sq_group_job:
        const uint8_t* x
        uint8_t* y
        const int32_t* scale
        const int32_t* bias
        long long channels, inner
        int nhwc
        int64_t multiplier, half
        int shift
        float factor
        int zero_point, hi

    void sq_fold_norm(const float* scale, const float* bias, const float* mean, const float* var, float epsilon,
                      long long channels, float* alpha, float* beta)

cdef range_fn[3] NCHW, NHWC, ROW_SUMS, COLUMN_SUMS, ROW_NORM, LRN_NCHW, LRN_NHWC, CHANNEL_SUMS, GROUP

fill_levels(NCHW, sq_norm_rows, sq_norm_row_count, b"affine_nchw_f32")
fill_levels(NHWC, sq_norm_rows, sq_norm_row_count, b"affine_nhwc_f32")
fill_levels(ROW_SUMS, sq_norm_rows, sq_norm_row_count, b"row_sums_f32")
fill_levels(COLUMN_SUMS, sq_norm_rows, sq_norm_row_count, b"column_sums_f32")
fill_levels(ROW_NORM, sq_norm_rows, sq_norm_row_count, b"row_norm_f32")
fill_levels(LRN_NCHW, sq_norm_rows, sq_norm_row_count, b"lrn_nchw_f32")
fill_levels(LRN_NHWC, sq_norm_rows, sq_norm_row_count, b"lrn_nhwc_f32")

fill_levels(CHANNEL_SUMS, sq_norm_rows, sq_norm_row_count, b"channel_sums_u8")
fill_levels(GROUP, sq_norm_rows, sq_norm_row_count, b"group_u8")

# Elementary operations of one element of a local response beside its window, for the choice of the team.
cdef enum:
    POWER_WORK = 16


def rows() -> list:
    """The kernel table, fastest first for each op."""
    return row_objects("norm", sq_norm_rows, sq_norm_row_count)


cdef void fold_norm(const float* scale, const float* bias, const float* mean, const float* var, float epsilon,
                    long long channels, float* alpha, float* beta) noexcept nogil:
    sq_fold_norm(scale, bias, mean, var, epsilon, channels, alpha, beta)


cdef void affine_channels(const float* x, float* y, const float* alpha, const float* beta, long long outer,
                          long long channels, long long inner, const sq_bounds* bounds=NULL) noexcept nogil:
    cdef sq_affine_job job
    cdef int team = team_size(outer * channels * inner)
    job.x = x
    job.y = y
    job.alpha = alpha
    job.beta = beta
    job.channels = channels
    job.inner = inner
    job.bounds.lo, job.bounds.hi = -INFINITY, INFINITY
    if bounds != NULL:
        job.bounds = bounds[0]
    if inner == 1:
        parallel_range(NHWC[level()], &job, outer, 1, team)
    else:
        parallel_range(NCHW[level()], &job, outer * channels, 1, team)


cdef void row_sums(const float* x, const float* centre, long long centres, double* sums, long long rows,
                   long long inner) noexcept nogil:
    cdef sq_sums_job job
    job.x, job.centre, job.centres, job.sums, job.inner, job.channels = x, centre, centres, sums, inner, 1
    parallel_range(ROW_SUMS[level()], &job, rows, 1, team_size(rows * inner))


cdef void column_sums(const float* x, const float* centre, double* sums, long long outer, long long inner,
                      long long channels) noexcept nogil:
    cdef sq_sums_job job
    job.x, job.centre, job.centres, job.sums, job.inner, job.channels = x, centre, channels, sums, inner, channels
    parallel_range(COLUMN_SUMS[level()], &job, outer * ((channels + SQ_NORM_BLOCK - 1) // SQ_NORM_BLOCK), 1,
                   team_size(outer * inner * channels))


cdef void row_norm(const float* x, float* y, const float* gamma, const float* beta, float* mean, float* sigma,
                   long long rows, long long inner, float epsilon) noexcept nogil:
    cdef sq_row_norm_job job
    job.x, job.y, job.gamma, job.beta, job.mean, job.sigma = x, y, gamma, beta, mean, sigma
    job.inner, job.epsilon = inner, epsilon
    parallel_range(ROW_NORM[level()], &job, rows, 1, team_size(4 * rows * inner))


cdef void local_response(const float* x, float* y, float* scale, long long outer, long long channels, long long inner,
                         long long size, float alpha, float beta, float bias, bint nhwc) noexcept nogil:
    cdef sq_lrn_job job
    cdef int team = team_size(outer * channels * inner * (size + POWER_WORK))
    job.x, job.y, job.scale, job.channels, job.inner, job.size = x, y, scale, channels, inner, size
    job.alpha, job.beta, job.bias = alpha, beta, bias
    if nhwc:
        parallel_range(LRN_NHWC[level()], &job, outer * inner, 1, team)
    else:
        parallel_range(LRN_NCHW[level()], &job, outer * ((inner + SQ_NORM_BLOCK - 1) // SQ_NORM_BLOCK), 1, team)


@cython.boundscheck(False)
def py_fold_norm(const float[::1] scale, const float[::1] bias, const float[::1] mean, const float[::1] var,
                 float epsilon, float[::1] alpha, float[::1] beta) -> None:
    fold_norm(&scale[0], &bias[0], &mean[0], &var[0], epsilon, scale.shape[0], &alpha[0], &beta[0])


@cython.boundscheck(False)
def py_affine_channels(const float[:, :, ::1] x, float[:, :, ::1] y, const float[::1] alpha,
                       const float[::1] beta, bounds=None) -> None:
    cdef sq_bounds within = read_bounds(bounds)
    affine_channels(&x[0, 0, 0], &y[0, 0, 0], &alpha[0], &beta[0], x.shape[0], x.shape[1], x.shape[2],
                    &within)


@cython.boundscheck(False)
def py_row_norm(const float[:, ::1] x, float[:, ::1] y, float[::1] mean, float[::1] sigma, float epsilon,
                const float[::1] gamma=None, const float[::1] beta=None) -> None:
    """Layer norm; without a mean (None) a norm by the root of the mean square."""
    row_norm(&x[0, 0], &y[0, 0], NULL if gamma is None else &gamma[0], NULL if beta is None else &beta[0],
             NULL if mean is None else &mean[0], &sigma[0], x.shape[0], x.shape[1], epsilon)


@cython.boundscheck(False)
def py_row_sums(const float[:, ::1] x, double[::1] sums, const float[::1] centre=None) -> None:
    row_sums(&x[0, 0], NULL if centre is None else &centre[0], 1 if centre is None else centre.shape[0], &sums[0],
             x.shape[0], x.shape[1])


@cython.boundscheck(False)
def py_column_sums(const float[:, :, ::1] x, double[:, ::1] sums, const float[:, ::1] centre=None) -> None:
    column_sums(&x[0, 0, 0], NULL if centre is None else &centre[0, 0], &sums[0, 0], x.shape[0], x.shape[1], x.shape[2])


@cython.boundscheck(False)
def py_local_response(const float[:, :, ::1] x, float[:, :, ::1] y, float[:, :, ::1] scale, size: int, alpha: float,
                      beta: float, bias: float, *, bint nhwc) -> None:
    channels, inner = (x.shape[2], x.shape[1]) if nhwc else (x.shape[1], x.shape[2])
    local_response(&x[0, 0, 0], &y[0, 0, 0], &scale[0, 0, 0], x.shape[0], channels, inner, size, alpha, beta, bias, nhwc)


@cython.boundscheck(False)
def channel_sums_u8(const uint8_t[:, :, ::1] x, uint64_t[:, ::1] sums, uint64_t[:, ::1] squares, *, bint nhwc) -> None:
    """Sums and sums of squares [images, channels] of x (images, pixels, channels) if nhwc, else (.., channels, pixels)."""
    cdef sq_channel_sums_job job
    cdef long long channels = sums.shape[1], blocks = channels
    if nhwc:
        blocks = (channels + SQ_NORM_BLOCK - 1) // SQ_NORM_BLOCK
    job.x, job.sums, job.squares = &x[0, 0, 0], &sums[0, 0], &squares[0, 0]
    job.channels, job.inner, job.nhwc = channels, x.shape[1] if nhwc else x.shape[2], nhwc
    with nogil:
        parallel_range(CHANNEL_SUMS[level()], &job, x.shape[0] * blocks, 1, team_size(x.shape[0] * channels * job.inner))


@cython.boundscheck(False)
def group_u8(const uint8_t[:, :, ::1] x, uint8_t[:, :, ::1] y, const int32_t[:, ::1] scale, const int32_t[:, ::1] bias, *,
             bint nhwc, int64_t multiplier, int64_t half, int shift, float factor, int zero_point, int hi) -> None:
    """y of x, of the shapes above; scale and bias: [images, channels]."""
    cdef sq_group_job job
    job.x, job.y, job.scale, job.bias = &x[0, 0, 0], &y[0, 0, 0], &scale[0, 0], &bias[0, 0]
    job.channels, job.inner, job.nhwc = scale.shape[1], x.shape[1] if nhwc else x.shape[2], nhwc
    job.multiplier, job.half, job.shift, job.factor = multiplier, half, shift, factor
    job.zero_point, job.hi = zero_point, hi
    with nogil:
        parallel_range(GROUP[level()], &job, x.shape[0] * x.shape[1], 1, team_size(4 * x.shape[0] * x.shape[1] * x.shape[2]))
