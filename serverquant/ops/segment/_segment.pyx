"""Native steps of the reductions of segments."""
from libc.stdint cimport int32_t, int64_t

from serverquant.blobs._blob cimport SQ_OK, next_spec, respec, sq_shape, sq_step, sq_tensor
from serverquant.kernels.segment._segment cimport reduce_segments, sq_segment_job
from serverquant.ops._native cimport index_at, product, set_size
from serverquant.runtime._plan cimport Step, fail

from serverquant.kernels.segment._segment import NAMES

# How segments are described, and the most elements an output may have when a single id asks for them.
cdef enum Grouping:
    LENGTHS
    SORTED
    UNSORTED
    ELEMENTS_MAX = 1 << 28

cdef struct Segments:
    int kind
    Grouping grouping
    int weights, rows, groups       # which inputs these are; 0: not there
    int64_t wanted                  # number of segments; -1: it follows from the ids


cdef int count_segments(sq_step* s, const int32_t* ids, int64_t n, int64_t* segments) noexcept nogil:
    """How many segments the groups make; an error where ids are not what they must be."""
    cdef Segments* c = <Segments*>s.ctx
    cdef int64_t i, top = 0
    if c.grouping == LENGTHS:
        segments[0] = n
        return SQ_OK
    for i in range(n):
        if ids[i] < 0:
            return fail(s, "segment id %d at position %lld is negative", ids[i], <long long>i)
        if c.grouping == SORTED and ids[i] != (0 if i == 0 else ids[i - 1]) and (i == 0 or ids[i] != ids[i - 1] + 1):
            return fail(s, "segment id %d at position %lld: ids start at 0, and each is its predecessor or one more",
                        ids[i], <long long>i)
        top = max(top, <int64_t>ids[i] + 1)
    if c.wanted >= 0:
        if top > c.wanted:
            return fail(s, "segment id %lld is out of range for num_segments = %lld", <long long>(top - 1), <long long>c.wanted)
        top = c.wanted
    segments[0] = top
    return SQ_OK


cdef int set_segments(sq_step* s, int64_t segments, int64_t columns, int64_t n) noexcept nogil:
    """Give the output its shape, where planning could not know it."""
    cdef sq_shape shape = s.in_[0].shape
    if segments > n + 64 and segments * (columns + 1) > ELEMENTS_MAX:
        return fail(s, "segment id %lld would make an output of %lld rows for %lld rows of data",
                    <long long>(segments - 1), <long long>segments, <long long>n)
    shape.dims[0] = segments
    shape.size = segments * columns
    if respec(s.out[0], &shape, next_spec()) != 0:
        return fail(s, "no memory for an output of %lld rows", <long long>segments)
    return SQ_OK


cdef int lengths_offsets(sq_step* s, const int32_t* lengths, int64_t segments, int64_t n, int64_t* offsets) noexcept nogil:
    cdef int64_t i, total = 0
    for i in range(segments):
        if lengths[i] < 0:
            return fail(s, "length %d at position %lld is negative", lengths[i], <long long>i)
        offsets[i] = total
        total += lengths[i]
    offsets[segments] = total
    if total != n:
        return fail(s, "the lengths add up to %lld, but there are %lld rows", <long long>total, <long long>n)
    return SQ_OK


cdef void group(const int32_t* ids, int64_t n, int64_t segments, int64_t* offsets, int64_t* order) noexcept nogil:
    """Counting sort of the positions by id; `order` may be NULL for ids in order."""
    cdef int64_t i, next_offset, total = 0
    for i in range(segments + 1):
        offsets[i] = 0
    for i in range(n):
        offsets[ids[i]] += 1
    for i in range(segments + 1):
        next_offset = total + offsets[i]
        offsets[i] = total
        total = next_offset
    if order == NULL:
        return
    for i in range(n):
        order[offsets[ids[i]]] = i
        offsets[ids[i]] += 1
    for i in range(segments, 0, -1):
        offsets[i] = offsets[i - 1]
    offsets[0] = 0


cdef int check_rows(sq_step* s, const sq_tensor* rows, int64_t limit) noexcept nogil:
    cdef int64_t i, row
    for i in range(rows.shape.size):
        row = index_at(rows, i)
        if row < 0 or row >= limit:
            return fail(s, "index %lld at position %lld is out of range for %lld rows of data", <long long>row,
                        <long long>i, <long long>limit)
    return SQ_OK


cdef int run_segments(sq_step* s) noexcept nogil:
    cdef Segments* c = <Segments*>s.ctx
    cdef const sq_tensor* data = s.in_[0]
    cdef const sq_tensor* groups = s.in_[c.groups]
    cdef const int32_t* ids = <const int32_t*>groups.data
    cdef int64_t n = groups.shape.dims[0], segments = 0
    cdef int64_t entries = s.in_[c.rows].shape.dims[0] if c.rows else data.shape.dims[0]
    cdef sq_segment_job job
    cdef int64_t* offsets
    cdef int64_t* order = NULL
    job.columns = product(data.shape.dims, 1, data.shape.ndim)
    if count_segments(s, ids, n, &segments) != SQ_OK:
        return -1
    if c.grouping != LENGTHS and c.wanted < 0 and set_segments(s, segments, job.columns, n) != SQ_OK:
        return -1
    if c.rows and check_rows(s, s.in_[c.rows], data.shape.dims[0]) != SQ_OK:
        return -1
    offsets = <int64_t*>s.scratch(s, (segments + 1 + n) * sizeof(int64_t))
    if offsets == NULL:
        return fail(s, "no memory for %lld segments", <long long>segments)
    if c.grouping == LENGTHS:
        if lengths_offsets(s, ids, segments, entries, offsets) != SQ_OK:
            return -1
    else:
        order = offsets + segments + 1 if c.grouping == UNSORTED else NULL
        group(ids, n, segments, offsets, order)
    job.data, job.y = <const float*>data.data, <float*>s.out[0].data
    job.weights = <const float*>s.in_[c.weights].data if c.weights else NULL
    job.rows = s.in_[c.rows].data if c.rows else NULL
    job.wide_rows = c.rows and s.in_[c.rows].shape.item_bytes == 8
    job.offsets, job.order = offsets, order
    reduce_segments(c.kind, &job, segments, entries)
    return SQ_OK


cdef int reshape_lengths(sq_step* s, const sq_shape* const* inputs, sq_shape* const* outputs) noexcept nogil:
    """As many rows as there are lengths; the sum of these is checked when it runs."""
    cdef Segments* c = <Segments*>s.ctx
    if c.weights and inputs[c.weights].dims[0] != inputs[0].dims[0]:
        return 1
    outputs[0].dims[0] = inputs[c.groups].dims[0]
    set_size(outputs[0])
    return SQ_OK


def segments_step(str reduction, str grouping, *, int weights=0, int rows=0, int groups=1, int64_t wanted=-1) -> Step:
    """Reduces segments of input 0. weights, rows, groups: which inputs hold these, 0 for none."""
    cdef Step step = Step()
    cdef Segments* c = <Segments*>step.new_context(sizeof(Segments))
    c.kind = NAMES.index(reduction)
    c.grouping = <Grouping>(<int>("lengths", "sorted", "unsorted").index(grouping))
    c.weights, c.rows, c.groups, c.wanted = weights, rows, groups, wanted
    step.c.run = run_segments
    if c.grouping == LENGTHS:
        step.c.reshape = reshape_lengths
    step.kernel = f"segment_{reduction}_f32"
    return step


def weighted_front_step() -> Step:
    """Sum over the first dimensions, weighted: one segment."""
    cdef Step step = Step()
    step.c.run = run_front
    step.kernel = "segment_sum_f32"
    return step


cdef int run_front(sq_step* s) noexcept nogil:
    cdef int64_t[2] offsets
    cdef sq_segment_job job
    offsets[0], offsets[1] = 0, s.in_[1].shape.size
    job.data, job.weights, job.y = <const float*>s.in_[0].data, <const float*>s.in_[1].data, <float*>s.out[0].data
    job.rows, job.order, job.wide_rows = NULL, NULL, 0
    job.offsets, job.columns = offsets, s.out[0].shape.size
    reduce_segments(0, &job, 1, offsets[1])
    return SQ_OK
