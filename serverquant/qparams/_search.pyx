"""Native half of the weight quantization methods that search for a range: see search.h."""
import numpy as np
from libc.stdint cimport int64_t

from serverquant._base._threads cimport parallel_range, team_size

cdef extern from "search.h" nogil:
    ctypedef struct sq_counts:
        const int64_t* counts
        const int64_t* sums[3]
        int64_t n, steps
        int squared

    ctypedef struct sq_search:
        sq_counts h
        int divergence, symmetric
        int64_t zero
        double* costs
        int64_t* begins

    void sq_search_some(const void* job, long long c0, long long c1)
    void sq_search_approx(const sq_counts* h, double* inner, int64_t* b, int64_t* c)


cdef class Counts:
    """A histogram's counts, int64 [n], and 2^precision quantized steps, ready for searching."""
    cdef sq_counts raw
    cdef object _arrays

    def __init__(self, counts, int precision):
        index = np.arange(counts.size)
        sums = [np.concatenate(([0], np.cumsum(counts * index**power))) for power in range(3)]
        cdef const int64_t[::1] values = np.ascontiguousarray(counts, np.int64)
        cdef const int64_t[:, ::1] rows = np.stack(sums).astype(np.int64)
        self._arrays = values, rows
        self.raw.counts, self.raw.n, self.raw.steps = &values[0], values.shape[0], 1 << precision
        for power in range(3):
            self.raw.sums[power] = &rows[power, 0]

    def least(self, kind: str, symmetric: bool = False, zero: int = -1) -> tuple:
        """(first bin, number of bins) of the range of least l1, l2 or kl cost; among equal ones the first with the
        fewest bins. symmetric: only ranges around the begin of bin `zero`."""
        cdef double[::1] costs = np.full(self.raw.n + 1, np.nan)
        cdef int64_t[::1] begins = np.zeros(self.raw.n + 1, np.int64)
        cdef sq_search s
        cdef int team
        self.raw.squared = kind == "l2"
        s.h, s.divergence, s.symmetric, s.zero = self.raw, kind == "kl", symmetric, zero
        s.costs, s.begins = &costs[0], &begins[0]
        costs[0] = np.inf
        with nogil:
            team = team_size(s.h.n * s.h.n * (1 if s.symmetric else s.h.n // 6))
            parallel_range(sq_search_some, &s, s.h.n + 1, 1, team)
        if np.isnan(costs).any():
            raise MemoryError
        best = int(np.argmin(costs))
        return begins[best], best

    def narrowed(self) -> tuple:
        """(first bin, number of bins) that l2_approx's narrowing arrives at."""
        cdef double[::1] inner = np.empty(self.raw.n, np.float64)
        cdef int64_t b = 0, c = 1
        self.raw.squared = True
        with nogil:
            sq_search_approx(&self.raw, &inner[0], &b, &c)
        return b, c
