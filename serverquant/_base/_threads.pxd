cdef extern from "../_base/threads.h" nogil:
    unsigned sq_fp_default()
    void sq_fp_restore(unsigned before)

# A piece of a job: items begin <= i < end. Pieces write disjoint outputs, so their number changes no bit.
ctypedef void (*range_fn)(const void* job, long long begin, long long end) noexcept nogil

# Threads for `work` elementary operations (a multiply-add, or an element read and written): 1 when waking a team
# would cost more than it saves, and inside another parallel region.
cdef int team_size(long long work) noexcept nogil
# Run `fn` over 0..count on `team` threads; inner borders are multiples of `align`. See threads.h.
cdef void parallel_range(range_fn fn, const void* job, long long count, long long align, int team) noexcept nogil
# From now on the calling thread is one of `crowd` that work at once: its teams get their part of the threads.
cdef void share_cores(int crowd) noexcept nogil
