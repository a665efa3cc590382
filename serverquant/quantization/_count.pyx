"""Native half of histogram.py: counts the values of a blob on all threads; see count.h."""

from libc.math cimport INFINITY, ldexp
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset

from serverquant._base cimport _isa
from serverquant._base._threads cimport parallel_range, sq_fp_default, sq_fp_restore, team_size

cdef extern from "count.h" nogil:
    enum:
        SQ_COUNT_CHUNK
        SQ_COUNT_TABLES
        SQ_COUNT_PENDING
    ctypedef struct sq_count_bins:
        double factor, width
        int32_t first, bins
        float bottom, top
    ctypedef int64_t (*sq_count_scan_fn)(const float*, int64_t, const sq_count_bins*, uint32_t*, void*) noexcept nogil
    ctypedef struct sq_count_job:
        const float* x
        int64_t size, channels, inner
        sq_count_bins bins
        int clamps
        uint8_t* state
        sq_count_scan_fn scan
    ctypedef struct sq_count_tally:
        float lo, hi
        int64_t not_finite, pending
        float* maxima
        uint32_t* tables
    sq_count_scan_fn sq_count_scan_for(int level)
    void sq_count_chunks(const sq_count_job* job, sq_count_tally* t, int64_t begin, int64_t end)

# Of a value, in the elementary operations that teams are sized by.
cdef int WORK = 4


cdef class Counting:
    """One blob's values on their way into a histogram.

    x: [., maxima.shape[0], inner]. maxima: magnitudes by channel, raised in place by the first `into`; or of length 0.
    clamped: None, or the same of v = min(max(x, 0), top), which is counted then in place of x; unless an x is not finite,
    when neither clamped nor counts change.
    lo, hi: smallest and largest finite value, known after the first `into`; inf and -inf where there is none.
    not_finite: how many are none.
    """
    cdef const float[::1] x
    cdef float[::1] maxima, clamped
    cdef sq_count_job job
    cdef int64_t chunks
    cdef int team
    cdef readonly double lo, hi
    cdef readonly int64_t not_finite

    def __init__(self, const float[::1] x, int64_t inner, float[::1] maxima, float[::1] clamped=None, double top=INFINITY):
        self.x, self.maxima, self.clamped = x, maxima, clamped
        self.job.clamps = clamped is not None
        self.job.bins.bottom, self.job.bins.top = 0.0 if self.job.clamps else -INFINITY, top
        self.lo, self.hi = INFINITY, -INFINITY
        self.chunks = (x.shape[0] + SQ_COUNT_CHUNK - 1) // SQ_COUNT_CHUNK
        self.team = <int>min(team_size(WORK * x.shape[0]), self.chunks)
        if self.chunks == 0:
            return
        self.job.x, self.job.size, self.job.inner = &x[0], x.shape[0], inner
        self.job.channels, self.job.scan = maxima.shape[0], sq_count_scan_for(_isa.level())
        self.job.state = <uint8_t*>calloc(self.chunks, 1)
        if self.job.state == NULL:
            raise MemoryError
        memset(self.job.state, SQ_COUNT_PENDING, self.chunks)

    def __dealloc__(self):
        free(self.job.state)

    def into(self, int exponent, int64_t first, int64_t[::1] counts):
        """Add what these bins hold: 2^exponent wide, from number `first` on. Whether something is left, for a second call
        with bins that hold all from `lo` to `hi`. Without bins values are measured alone."""
        cdef sq_count_tally* tallies
        cdef int64_t* into = &counts[0] if counts.shape[0] else NULL
        cdef int64_t channels = self.job.channels
        cdef bint kept
        cdef int t
        if self.chunks == 0:
            return False
        self.job.bins.factor, self.job.bins.width = ldexp(1.0, -exponent), ldexp(1.0, exponent)
        self.job.bins.first, self.job.bins.bins = <int32_t>first, <int32_t>counts.shape[0]
        tallies = <sq_count_tally*>calloc(self.team, sizeof(sq_count_tally))
        if tallies == NULL:
            raise MemoryError
        try:
            for t in range(self.team):
                tallies[t].lo, tallies[t].hi = INFINITY, -INFINITY
                tallies[t].tables = <uint32_t*>calloc(SQ_COUNT_TABLES * self.job.bins.bins + 1, sizeof(uint32_t))
                tallies[t].maxima = <float*>calloc(2 * self.job.channels + 1, sizeof(float))
                if tallies[t].tables == NULL or tallies[t].maxima == NULL:
                    raise MemoryError
            with nogil:
                count(&self.job, tallies, self.team, self.chunks)
                for t in range(1, self.team):
                    gather_ends(&tallies[t], tallies)
                kept = not self.job.clamps or tallies.not_finite == 0  # a function of NaN may be anything
                for t in range(self.team):  # sums and maxima, so the threads' number changes nothing
                    if channels:
                        raise_to(&self.maxima[0], tallies[t].maxima, channels)
                    if channels and self.job.clamps and kept:
                        raise_to(&self.clamped[0], tallies[t].maxima + channels, channels)
                    if kept:
                        add_tables(into, tallies[t].tables, self.job.bins.bins)
            # no negative zero: its place among zeros is chance
            self.lo, self.hi = min(self.lo, tallies.lo + 0.0), max(self.hi, tallies.hi + 0.0)
            self.not_finite += tallies.not_finite
            return tallies.pending > 0
        finally:
            for t in range(self.team):
                free(tallies[t].tables)
                free(tallies[t].maxima)
            free(tallies)


cdef struct Team:
    const sq_count_job* job
    sq_count_tally* tallies
    int team
    int64_t chunks


cdef void count(const sq_count_job* job, sq_count_tally* tallies, int team, int64_t chunks) noexcept nogil:
    cdef unsigned fp = sq_fp_default()
    cdef Team work
    work.job, work.tallies, work.team, work.chunks = job, tallies, team, chunks
    parallel_range(count_parts, &work, team, 1, team)
    sq_fp_restore(fp)


cdef void count_parts(const void* work, long long begin, long long end) noexcept nogil:
    """The parts begin..end - 1 of the chunks, each with a tally of its own."""
    cdef const Team* w = <const Team*>work
    cdef long long t
    for t in range(begin, end):
        sq_count_chunks(w.job, &w.tallies[t], w.chunks * t // w.team, w.chunks * (t + 1) // w.team)


cdef void gather_ends(const sq_count_tally* t, sq_count_tally* whole) noexcept nogil:
    whole.lo, whole.hi = min(whole.lo, t.lo), max(whole.hi, t.hi)
    whole.not_finite += t.not_finite
    whole.pending += t.pending


cdef void raise_to(float* maxima, const float* found, int64_t n) noexcept nogil:
    cdef int64_t i
    for i in range(n):
        if found[i] > maxima[i]:
            maxima[i] = found[i]


cdef void add_tables(int64_t* counts, const uint32_t* table, int64_t bins) noexcept nogil:
    cdef int64_t i
    for i in range(bins):
        counts[i] += <int64_t>table[i] + table[bins + i] + table[2 * bins + i] + table[3 * bins + i]
