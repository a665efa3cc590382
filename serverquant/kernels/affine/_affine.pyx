"""Products and channel-wise linear maps of bytes. See affine.h."""
import numpy as np

from serverquant._base._isa cimport level
from serverquant._base._threads cimport parallel_range, range_fn, team_size
from serverquant.kernels._rows cimport fill_levels, row_objects, sq_row

cdef extern from "affine.h" nogil:
    const sq_row* sq_affine_rows
    const int sq_affine_row_count

# Inner borders of ranges: a multiple of any vector, and of a cache line.
cdef enum:
    ALIGN = 64

cdef range_fn[3] MUL, LINEAR, NORM

fill_levels(MUL, sq_affine_rows, sq_affine_row_count, b"mul_u8")
fill_levels(LINEAR, sq_affine_rows, sq_affine_row_count, b"linear_u8")
fill_levels(NORM, sq_affine_rows, sq_affine_row_count, b"norm_u8")


def rows() -> list:
    """The kernel table, fastest first for each op."""
    return row_objects("affine", sq_affine_rows, sq_affine_row_count)


cdef void mul_u8(const sq_affine_job* job, long long n) noexcept nogil:
    parallel_range(MUL[level()], job, n, ALIGN, team_size(n))


cdef void linear_u8(const sq_affine_job* job, long long n) noexcept nogil:
    parallel_range(LINEAR[level()], job, n, ALIGN, team_size(n))


cdef void norm_u8(const sq_affine_job* job, long long n) noexcept nogil:
    parallel_range(NORM[level()], job, n, ALIGN, team_size(n))


def py_affine(str op, const uint8_t[::1] a, *, long long inner, b=None, bias=None, alpha=None, beta=None,
              int a_zero_point=0, int b_zero_point=0, float multiplier=1, int zero_point=0, int lo=0, int hi=255):
    """For tests: one of the three on flat arrays; b, bias, alpha, beta by channel."""
    cdef sq_affine_job job
    cdef const uint8_t[::1] to_b = np.zeros(1, np.uint8) if b is None else b
    cdef const int32_t[::1] to_bias = np.zeros(1, np.int32) if bias is None else bias
    cdef const float[::1] to_alpha = np.zeros(1, np.float32) if alpha is None else alpha
    cdef const float[::1] to_beta = np.zeros(1, np.float32) if beta is None else beta
    y = np.empty(a.shape[0], np.uint8)
    cdef uint8_t[::1] to_y = y
    if not a.shape[0]:
        return y
    job.a, job.b, job.bias, job.alpha, job.beta, job.y = &a[0], &to_b[0], &to_bias[0], &to_alpha[0], &to_beta[0], &to_y[0]
    job.channels, job.inner = to_alpha.shape[0] if op == "norm" else to_b.shape[0], inner
    job.a_zero_point, job.b_zero_point, job.multiplier = a_zero_point, b_zero_point, multiplier
    job.zero_point, job.lo, job.hi = zero_point, lo, hi
    if op == "mul":
        mul_u8(&job, a.shape[0])
    elif op == "linear":
        linear_u8(&job, a.shape[0])
    else:
        norm_u8(&job, a.shape[0])
    return y
