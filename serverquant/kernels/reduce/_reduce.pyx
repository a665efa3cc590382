"""Reductions of the middle axis. See reduce.h and maps.inc for each formula.

The `py_` functions run the same code on contiguous arrays, for tests, tools and operators in Python.
Bounds are not checked there in any build: the address of an empty array's first element is taken, never read.
"""
cimport cython
from libc.stdint cimport int64_t, uint8_t

from serverquant._base._isa cimport level
from serverquant._base._threads cimport parallel_range, range_fn, team_size
from serverquant.kernels._rows cimport fill_levels, row_objects, sq_row

import numpy as np

cdef extern from "reduce.h" nogil:
    const sq_row* sq_reduce_rows
    const int sq_reduce_row_count

    ctypedef struct sq_reduce_job:
        const void* x
        void* y
        long long n
        long long inner

    ctypedef struct sq_top_k_job:
        const float* x
        float* values
        int64_t* places
        int64_t* places_flat
        long long n
        long long inner
        long long k

# Inner borders of ranges over neighbouring outputs: whole cache lines.
cdef enum:
    ALIGN = 16

cdef range_fn[3] TOP_K

fill_levels(TOP_K, sq_reduce_rows, sq_reduce_row_count, b"top_k_f32")


def rows() -> list:
    """The kernel table, fastest first for each op."""
    return row_objects("reduce", sq_reduce_rows, sq_reduce_row_count)


cdef int find_kernel(Kernel* found, str name) except -1:
    fill_levels(found.rows, sq_reduce_rows, sq_reduce_row_count, name.encode())
    return 0


cdef void reduce(const Kernel* f, const void* x, void* y, long long outer, long long n, long long inner) noexcept nogil:
    cdef sq_reduce_job job
    job.x = x
    job.y = y
    job.n = n
    job.inner = inner
    parallel_range(f.rows[level()], &job, outer * inner, ALIGN if inner > 1 else 1, team_size(outer * n * inner))


cdef void top_k(const float* x, float* values, int64_t* places, int64_t* places_flat, long long outer, long long n,
                long long inner, long long k) noexcept nogil:
    cdef sq_top_k_job job
    job.x = x
    job.values = values
    job.places = places
    job.places_flat = places_flat
    job.n = n
    job.inner = inner
    job.k = k
    parallel_range(TOP_K[level()], &job, outer * inner, 1, team_size(outer * n * inner * 4))


@cython.boundscheck(False)
def py_reduce(str name, x, y=None) -> np.ndarray:
    """x: (outer, n, inner); into y, or a new (outer, inner) of x's type."""
    cdef Kernel f
    x = np.ascontiguousarray(x)
    y = np.empty((x.shape[0], x.shape[2]), x.dtype) if y is None else y
    cdef const uint8_t[::1] px = x.reshape(-1).view(np.uint8)
    cdef uint8_t[::1] py = y.reshape(-1).view(np.uint8)
    find_kernel(&f, name)
    reduce(&f, &px[0], &py[0], x.shape[0], x.shape[1], x.shape[2])
    return y


@cython.boundscheck(False)
def py_top_k(const float[:, :, ::1] x, int64_t k) -> tuple:
    """(values, places, flat places)."""
    values = np.empty((x.shape[0], k, x.shape[2]), np.float32)
    places = np.empty((x.shape[0], k, x.shape[2]), np.int64)
    flat = np.empty((x.shape[0], k, x.shape[2]), np.int64)
    cdef float[:, :, ::1] v = values
    cdef int64_t[:, :, ::1] p = places
    cdef int64_t[:, :, ::1] f = flat
    top_k(&x[0, 0, 0], &v[0, 0, 0], &p[0, 0, 0], &f[0, 0, 0], x.shape[0], x.shape[1], x.shape[2], k)
    return values, places, flat
