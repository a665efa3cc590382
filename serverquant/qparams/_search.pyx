"""Native half of histogram.py and of the methods that search a histogram: see search.h and kl.h."""

import numpy as np

from libc.stdint cimport int32_t, int64_t

from serverquant._base cimport _isa

cdef extern from "histogram.h" nogil:
    void sq_count(const float* x, Py_ssize_t n, float lo, float width, int32_t bins, int64_t* counts)

cdef extern from "search.h" nogil:
    ctypedef struct sq_search:
        const float* counts
        float* density
        const double* sums[3]
        float* table[3]
        Py_ssize_t n
        int32_t steps
        float width
        int32_t avx2

    void sq_search_l2(const sq_search* s, int around, Py_ssize_t zero, int32_t* blocks, Py_ssize_t* b, Py_ssize_t* c)
    void sq_search_l1(const sq_search* s, int around, Py_ssize_t zero, int32_t* filled, Py_ssize_t* b, Py_ssize_t* c)
    void sq_search_l2_approx(const sq_search* s, Py_ssize_t* b, Py_ssize_t* c)

cdef extern from "kl.h" nogil:
    ctypedef struct sq_kl:
        const int64_t* counts
        const int64_t* below
        Py_ssize_t n
        int32_t steps

    void sq_search_kl(const sq_kl* h, int around, Py_ssize_t zero, Py_ssize_t* b, Py_ssize_t* c)

# Which ranges are tried.
ALL_RANGES, FROM_FIRST, AROUND_ZERO = 0, 1, 2


def count_native(const float[::1] x, float lo, float width, int64_t[::1] counts):
    """Add to counts[i] the values of x in bin i, which begins at lo + i * width; outer ones go to the ends."""
    if x.shape[0]:
        with nogil:
            sq_count(&x[0], x.shape[0], lo, width, <int32_t>counts.shape[0], &counts[0])


def search_norm(
    str norm, const float[::1] counts, float width, int precision, int around, Py_ssize_t zero
) -> tuple:
    """(first bin, number of bins) of the range of least cost; norm: "l1", "l2" or "l2_approx".

    counts: f32 [n] of whole numbers. width: of a bin. around: ALL_RANGES, FROM_FIRST or AROUND_ZERO: only those around
    the begin of bin `zero`; l2_approx heeds neither.
    """
    cdef Py_ssize_t n = counts.shape[0], b = 0, c = 1
    cdef double[:, ::1] sums = np.zeros((3, n + 1))
    cdef int choice = ("l1", "l2", "l2_approx").index(norm)
    cdef float[:, ::1] work = np.empty((4, 3 * n + 16 if choice < 2 else 1), np.float32)
    cdef int32_t[::1] places = np.empty(n, np.int32)
    index = np.arange(n, dtype=np.float64)
    for power in range(3):
        np.cumsum(np.asarray(counts) * index**power, out=np.asarray(sums)[power, 1:])
    cdef sq_search s
    s.counts, s.n, s.steps, s.width, s.avx2 = &counts[0], n, 1 << precision, width, _isa.level() >= _isa.AVX2
    s.density = &work[3, 0]
    for i in range(3):
        s.sums[i] = &sums[i, 0]
        s.table[i] = &work[i, 0]
    with nogil:
        if choice == 0:
            sq_search_l1(&s, around, zero, &places[0], &b, &c)
        elif choice == 1:
            sq_search_l2(&s, around, zero, &places[0], &b, &c)
        else:
            sq_search_l2_approx(&s, &b, &c)
    return b, c


def search_kl(const int64_t[::1] counts, int precision, int around, Py_ssize_t zero) -> tuple:
    """(first bin, number of bins) of the range of least divergence; arguments as in search_norm."""
    cdef int64_t[::1] below = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
    cdef Py_ssize_t b = 0, c = 1 << precision
    cdef sq_kl h
    h.counts, h.below, h.n, h.steps = &counts[0], &below[0], counts.shape[0], 1 << precision
    with nogil:
        sq_search_kl(&h, around, zero, &b, &c)
    return b, c
