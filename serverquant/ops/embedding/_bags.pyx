"""Native steps of the sums over bags of table rows."""
from libc.stdint cimport int32_t, int64_t

from serverquant.blobs._blob cimport SQ_ERROR, SQ_OK, sq_shape, sq_step, sq_tensor
from serverquant.kernels.embedding._embedding cimport sq_bags_job, sq_bags_scratch, sum_bags
from serverquant.ops._native cimport index_at
from serverquant.runtime._plan cimport Step, fail


cdef struct Bags:
    int bits
    int64_t columns, stride
    int weights, indices, lengths, apart, mapping   # inputs; 0: none
    bint positional, mean


cdef int find_starts(sq_step* s, const Bags* c, int64_t* starts) noexcept nogil:
    """Where each bag begins in the indices; SQ_OK or SQ_ERROR."""
    cdef const sq_tensor* lengths = s.in_[c.lengths]
    cdef const int32_t* of = <const int32_t*>lengths.data
    cdef int64_t n = s.in_[c.indices].shape.size, total = 0, b
    starts[0] = 0
    for b in range(lengths.shape.size):
        if of[b] < 0:
            return fail(s, "length %lld of input %d is %d; lengths must be 0 or more", <long long>b, c.lengths, of[b])
        if c.positional and of[b] > s.in_[c.weights].shape.size:
            return fail(s, "bag %lld has %d indices, but input %d has weights for %lld places", <long long>b, of[b],
                        c.weights, <long long>s.in_[c.weights].shape.size)
        total += of[b]
        starts[b + 1] = total
    if total != n:
        return fail(s, "the lengths (input %d) add up to %lld, but there are %lld indices (input %d)", c.lengths,
                    <long long>total, <long long>n, c.indices)
    return SQ_OK


cdef bint is_pruned(sq_step* s, const Bags* c) noexcept nogil:
    """Whether rows lie elsewhere; a mapping that is a lone 0 says that they do not."""
    if not c.mapping:
        return False
    return s.in_[c.mapping].shape.size != 1 or (<const int32_t*>s.in_[c.mapping].data)[0] != 0


cdef int refuse_outside(sq_step* s, const Bags* c, const sq_bags_job* job) noexcept nogil:
    """Says which index, or what it is mapped to, is outside."""
    cdef const sq_tensor* indices = s.in_[c.indices]
    cdef int64_t most = job.rows if job.map == NULL else job.mapped, index, i
    for i in range(indices.shape.size):
        index = index_at(indices, i)
        if index < 0 or index >= most:
            return fail(s, "index %lld (place %lld of input %d) is outside of the %lld rows", <long long>index,
                        <long long>i, c.indices, <long long>most)
        if job.map != NULL and not -1 <= job.map[index] < job.rows:
            return fail(s, "index %lld is mapped to row %lld (input %d), outside of the table's %lld rows",
                        <long long>index, <long long>job.map[index], c.mapping, job.rows)
    return fail(s, "the indices (input %d) changed while they were read", c.indices)


cdef int run_bags(sq_step* s) noexcept nogil:
    """Scratch: where each bag begins, and the kernel's."""
    cdef Bags* c = <Bags*>s.ctx
    cdef int64_t bags = s.in_[c.lengths].shape.size, n = s.in_[c.indices].shape.size
    cdef int outside = 0
    cdef sq_bags_job job
    job.table, job.rows = s.in_[0].data, s.in_[0].shape.dims[0]
    job.columns, job.stride = c.columns, c.stride
    job.indices, job.wide_indices = s.in_[c.indices].data, s.in_[c.indices].shape.item_bytes == 8
    job.positional, job.mean = c.positional, c.mean
    job.weights = <const float*>s.in_[c.weights].data if c.weights else NULL
    job.map, job.mapped = NULL, 0
    if is_pruned(s, c):
        job.map, job.mapped = <const int32_t*>s.in_[c.mapping].data, s.in_[c.mapping].shape.size
    job.apart = <const float*>s.in_[c.apart].data if c.apart else NULL
    job.outside, job.y = &outside, <float*>s.out[0].data
    if c.weights and not c.positional and s.in_[c.weights].shape.size != n:
        return fail(s, "there are %lld weights (input %d) for %lld indices (input %d)",
                    <long long>s.in_[c.weights].shape.size, c.weights, <long long>n, c.indices)
    cdef int64_t* starts = <int64_t*>s.scratch(s, (bags + 1) * sizeof(int64_t) + sq_bags_scratch(&job, c.bits, n))
    if starts == NULL:
        return fail(s, "no memory for scratch")
    if find_starts(s, c, starts) != SQ_OK:
        return SQ_ERROR
    job.starts = starts
    sum_bags(&job, c.bits, bags, n, starts + bags + 1)
    return refuse_outside(s, c, &job) if outside else SQ_OK


cdef int reshape_bags(sq_step* s, const sq_shape* const* inputs, sq_shape* const* outputs) noexcept nogil:
    """Other numbers of indices and bags cost no planning, as long as the table's rows stay what they are."""
    cdef Bags* c = <Bags*>s.ctx
    cdef const sq_shape* table = inputs[0]
    cdef int64_t bags = inputs[c.lengths].dims[0]
    if inputs[c.indices].ndim != 1 or inputs[c.lengths].ndim != 1 or not table.dims[0]:
        return 1
    if bags and inputs[c.lengths].item_bytes != sizeof(int32_t):  # others are taken where there are none
        return 1
    if table.size // table.dims[0] * table.item_bytes != c.stride:
        return 1
    outputs[0].dims[0], outputs[0].size = bags, bags * c.columns
    return SQ_OK


def bags_step(int bits, int64_t columns, int64_t stride, *, bint weighted, bint positional, bint mean, int apart,
              int mapping) -> Step:
    """bits of the table's values, values and bytes of a row; apart, mapping: inputs, 0 for none."""
    cdef Step step = Step()
    cdef Bags* c = <Bags*>step.new_context(sizeof(Bags))
    c.bits, c.columns, c.stride = bits, columns, stride
    c.weights, c.indices, c.lengths = weighted, 1 + weighted, 2 + weighted
    c.positional, c.mean, c.apart, c.mapping = positional, mean, apart, mapping
    step.c.run = run_bags
    step.c.reshape = reshape_bags
    step.kernel = {32: "bags_f32", 16: "bags_f16", 8: "bags_u8", 4: "bags_u4", 2: "bags_u2"}[bits]
    return step
