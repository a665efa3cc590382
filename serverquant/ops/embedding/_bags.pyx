"""Native steps of the sums over bags of table rows."""
from libc.stdint cimport int32_t, int64_t, uint64_t

from serverquant.blobs._blob cimport SQ_OK, sq_shape, sq_step, sq_tensor
from serverquant.kernels.embedding._embedding cimport sq_bags_job, sum_bags
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


cdef bint all_below(const sq_tensor* indices, int64_t most) noexcept nogil:
    """Whether all lie in 0 .. most - 1: a loop without a way out, for the compiler to vectorise."""
    cdef const int64_t* wide = <const int64_t*>indices.data
    cdef const int32_t* narrow = <const int32_t*>indices.data
    cdef uint64_t outside = 0, last = most - 1      # the highest bit of a number below 0 is set
    cdef int64_t i
    if indices.shape.item_bytes == 8:
        for i in range(indices.shape.size):
            outside |= <uint64_t>wide[i] | (last - <uint64_t>wide[i])
    else:
        for i in range(indices.shape.size):
            outside |= <uint64_t>narrow[i] | (last - <uint64_t>narrow[i])
    return outside >> 63 == 0


cdef int check_indices(sq_step* s, const Bags* c) noexcept nogil:
    """Every index, and what it is mapped to, is inside; SQ_OK or SQ_ERROR."""
    cdef const sq_tensor* indices = s.in_[c.indices]
    cdef int64_t rows = s.in_[0].shape.dims[0], most = rows, index, row, i
    cdef const int32_t* map = NULL
    if is_pruned(s, c):
        map, most = <const int32_t*>s.in_[c.mapping].data, s.in_[c.mapping].shape.size
    if map == NULL and all_below(indices, most):
        return SQ_OK
    for i in range(indices.shape.size):
        index = index_at(indices, i)
        if index < 0 or index >= most:
            return fail(s, "index %lld (place %lld of input %d) is outside of the %lld rows", <long long>index,
                        <long long>i, c.indices, <long long>most)
        if map != NULL:
            row = map[index]
            if row < -1 or row >= rows:
                return fail(s, "index %lld is mapped to row %lld (input %d), outside of the table's %lld rows",
                            <long long>index, <long long>row, c.mapping, <long long>rows)
    return SQ_OK


cdef int run_bags(sq_step* s) noexcept nogil:
    cdef Bags* c = <Bags*>s.ctx
    cdef int64_t bags = s.in_[c.lengths].shape.size, n = s.in_[c.indices].shape.size
    cdef int64_t* starts = <int64_t*>s.scratch(s, (bags + 1) * sizeof(int64_t))
    cdef sq_bags_job job
    cdef int status
    if starts == NULL:
        return fail(s, "no memory for scratch")
    if c.weights and not c.positional and s.in_[c.weights].shape.size != n:
        return fail(s, "there are %lld weights (input %d) for %lld indices (input %d)",
                    <long long>s.in_[c.weights].shape.size, c.weights, <long long>n, c.indices)
    status = find_starts(s, c, starts)
    if status == SQ_OK:
        status = check_indices(s, c)
    if status != SQ_OK:
        return status
    job.table, job.columns, job.stride = s.in_[0].data, c.columns, c.stride
    job.indices, job.wide_indices = s.in_[c.indices].data, s.in_[c.indices].shape.item_bytes == 8
    job.starts, job.positional, job.mean = starts, c.positional, c.mean
    job.weights = <const float*>s.in_[c.weights].data if c.weights else NULL
    job.map = <const int32_t*>s.in_[c.mapping].data if is_pruned(s, c) else NULL
    job.apart = <const float*>s.in_[c.apart].data if c.apart else NULL
    job.y = <float*>s.out[0].data
    sum_bags(&job, c.bits, bags, n)
    return SQ_OK


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
