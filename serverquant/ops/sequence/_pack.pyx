"""Native steps of PackSegments and UnpackSegments."""
from libc.math cimport INFINITY
from libc.stdint cimport int64_t
from libc.string cimport memcpy, memset

from serverquant.blobs._blob cimport SQ_OK, next_spec, respec, sq_shape, sq_step, sq_tensor
from serverquant.ops._native cimport index_at, product, set_size
from serverquant.runtime._plan cimport Step, fail

# A TensorProto.DataType; the most elements of an output that is much larger than its input.
cdef enum:
    BOOL = 5
    ELEMENTS_MAX = 1 << 28

cdef struct Pack:
    int64_t columns         # of the packed tensor; -1: the largest length
    bint lowest             # pad with -inf


cdef int read_lengths(sq_step* s, int64_t* total, int64_t* longest) noexcept nogil:
    """Sum and largest of the lengths; an error if one is negative."""
    cdef const sq_tensor* lengths = s.in_[0]
    cdef int64_t i, length
    total[0] = longest[0] = 0
    for i in range(lengths.shape.size):
        length = index_at(lengths, i)
        if length < 0:
            return fail(s, "length %lld at position %lld is negative", <long long>length, <long long>i)
        if length > (<int64_t>1 << 40):
            return fail(s, "length %lld at position %lld is too large", <long long>length, <long long>i)
        total[0] += length
        longest[0] = length if length > longest[0] else longest[0]
    return SQ_OK


cdef int set_output(sq_step* s, int i, const sq_shape* like, int64_t rows, int64_t columns, int from_dim) noexcept nogil:
    """Shape of output i: rows, columns (if not negative), and the dims of `like` behind from_dim."""
    cdef sq_shape shape = like[0]
    cdef int k
    shape.ndim = 1 + (columns >= 0) + like.ndim - from_dim
    shape.dims[0] = rows
    if columns >= 0:
        shape.dims[1] = columns
    for k in range(from_dim, like.ndim):
        shape.dims[1 + (columns >= 0) + k - from_dim] = like.dims[k]
    set_size(&shape)
    if shape.size > ELEMENTS_MAX and shape.size > 64 * like.size:
        return fail(s, "%lld segments of up to %lld rows are out of all proportion to %lld rows of data", <long long>rows,
                    <long long>columns, <long long>like.dims[0])
    if respec(s.out[i], &shape, next_spec()) != 0:
        return fail(s, "no memory for output %d", i)
    return SQ_OK


cdef int set_mask(sq_step* s, int64_t rows, int64_t columns) noexcept nogil:
    cdef sq_shape shape = s.in_[0].shape
    shape.ndim, shape.dtype, shape.item_bytes = 2, BOOL, 1
    shape.dims[0], shape.dims[1], shape.size = rows, columns, rows * columns
    if respec(s.out[1], &shape, next_spec()) != 0:
        return fail(s, "no memory for output 1")
    return SQ_OK


cdef void pad(char* at, int64_t nbytes, bint lowest) noexcept nogil:
    cdef int64_t i
    if not lowest:
        memset(at, 0, nbytes)
        return
    for i in range(nbytes // 4):
        (<float*>at)[i] = -INFINITY


cdef int run_pack(sq_step* s) noexcept nogil:
    cdef Pack* c = <Pack*>s.ctx
    cdef const sq_tensor* data = s.in_[1]
    cdef const char* x = <const char*>data.data
    cdef int64_t n = s.in_[0].shape.size, total = 0, columns = 0
    cdef int64_t block = product(data.shape.dims, 1, data.shape.ndim) * data.shape.item_bytes
    cdef int64_t i, length, kept
    cdef char* y
    if read_lengths(s, &total, &columns) != SQ_OK:
        return -1
    if total != data.shape.dims[0]:
        return fail(s, "the lengths add up to %lld, but there are %lld rows", <long long>total,
                    <long long>data.shape.dims[0])
    if c.columns >= 0:
        columns = c.columns
    elif set_output(s, 0, &data.shape, n, columns, 1) != SQ_OK or (s.n_out > 1 and set_mask(s, n, columns) != SQ_OK):
        return -1
    y = <char*>s.out[0].data
    for i in range(n):
        length = index_at(s.in_[0], i)
        kept = length if length < columns else columns
        memcpy(y, x, kept * block)
        pad(y + kept * block, (columns - kept) * block, c.lowest)
        if s.n_out > 1:
            memset(<char*>s.out[1].data + i * columns, 1, kept)
            memset(<char*>s.out[1].data + i * columns + kept, 0, columns - kept)
        x += length * block
        y += columns * block
    return SQ_OK


cdef int reshape_pack(sq_step* s, const sq_shape* const* inputs, sq_shape* const* outputs) noexcept nogil:
    """A new number of segments; how long they may be is an argument."""
    cdef int i
    if (<Pack*>s.ctx).columns < 0:
        return 1
    for i in range(s.n_out):
        outputs[i].dims[0] = inputs[0].dims[0]
        set_size(outputs[i])
    return SQ_OK


def pack_step(int64_t columns, bint lowest) -> Step:
    """Segments of rows, padded to `columns` rows each; -1: to the longest."""
    cdef Step step = Step()
    cdef Pack* c = <Pack*>step.new_context(sizeof(Pack))
    c.columns, c.lowest = columns, lowest
    step.c.run = run_pack
    step.c.reshape = reshape_pack
    step.kernel = "copy"
    return step


cdef int run_unpack(sq_step* s) noexcept nogil:
    cdef bint cut = s.ctx != NULL
    cdef const sq_tensor* data = s.in_[1]
    cdef const char* x = <const char*>data.data
    cdef int64_t total = 0, longest = 0, i, length
    cdef int64_t block = product(data.shape.dims, 2, data.shape.ndim) * data.shape.item_bytes
    cdef char* y
    if read_lengths(s, &total, &longest) != SQ_OK:
        return -1
    if longest > data.shape.dims[1] and not cut:
        return fail(s, "a length is %lld, but segments have %lld rows", <long long>longest, <long long>data.shape.dims[1])
    if longest > data.shape.dims[1]:
        total = 0
        for i in range(s.in_[0].shape.size):
            total += min(index_at(s.in_[0], i), data.shape.dims[1])
    if set_output(s, 0, &data.shape, total, -1, 2) != SQ_OK:
        return -1
    y = <char*>s.out[0].data
    for i in range(s.in_[0].shape.size):
        length = min(index_at(s.in_[0], i), data.shape.dims[1])
        memcpy(y, x, length * block)
        x += data.shape.dims[1] * block
        y += length * block
    return SQ_OK


def unpack_step(bint cut) -> Step:
    """The rows of padded segments, one segment behind the other. cut: segments may have been longer."""
    cdef Step step = Step()
    if cut:
        step.new_context(1)
    step.c.run = run_unpack
    step.kernel = "copy"
    return step
