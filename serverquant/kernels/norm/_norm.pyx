"""Affine maps per channel, for normalisation with fixed statistics. See norm.h for the formulas.

The `py_` functions run the same code on contiguous arrays, for tests and tools.
Bounds are not checked there in any build: the address of an empty array's first element is taken, never read.
"""
cimport cython
from serverquant._base._isa cimport level
from serverquant._base._threads cimport parallel_range, range_fn, team_size
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

    void sq_fold_norm(const float* scale, const float* bias, const float* mean, const float* var, float epsilon,
                      long long channels, float* alpha, float* beta)

cdef range_fn[3] NCHW, NHWC

fill_levels(NCHW, sq_norm_rows, sq_norm_row_count, b"affine_nchw_f32")
fill_levels(NHWC, sq_norm_rows, sq_norm_row_count, b"affine_nhwc_f32")


def rows() -> list:
    """The kernel table, fastest first for each op."""
    return row_objects("norm", sq_norm_rows, sq_norm_row_count)


cdef void fold_norm(const float* scale, const float* bias, const float* mean, const float* var, float epsilon,
                    long long channels, float* alpha, float* beta) noexcept nogil:
    sq_fold_norm(scale, bias, mean, var, epsilon, channels, alpha, beta)


cdef void affine_channels(const float* x, float* y, const float* alpha, const float* beta, long long outer,
                          long long channels, long long inner) noexcept nogil:
    cdef sq_affine_job job
    cdef int team = team_size(outer * channels * inner)
    job.x = x
    job.y = y
    job.alpha = alpha
    job.beta = beta
    job.channels = channels
    job.inner = inner
    if inner == 1:
        parallel_range(NHWC[level()], &job, outer, 1, team)
    else:
        parallel_range(NCHW[level()], &job, outer * channels, 1, team)


@cython.boundscheck(False)
def py_fold_norm(const float[::1] scale, const float[::1] bias, const float[::1] mean, const float[::1] var,
                 float epsilon, float[::1] alpha, float[::1] beta) -> None:
    fold_norm(&scale[0], &bias[0], &mean[0], &var[0], epsilon, scale.shape[0], &alpha[0], &beta[0])


@cython.boundscheck(False)
def py_affine_channels(const float[:, :, ::1] x, float[:, :, ::1] y, const float[::1] alpha,
                       const float[::1] beta) -> None:
    affine_channels(&x[0, 0, 0], &y[0, 0, 0], &alpha[0], &beta[0], x.shape[0], x.shape[1], x.shape[2])
