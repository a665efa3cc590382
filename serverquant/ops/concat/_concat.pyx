"""Native steps of the operators that join, cut and repeat tensors."""
from libc.stdint cimport int32_t, int64_t

from serverquant.blobs._blob cimport SQ_OK, sq_shape, sq_step, sq_tensor
from serverquant.kernels.transpose._transpose cimport copy_bytes, copy_rows, repeat, sq_rows
from serverquant.ops._native cimport pass_qparams, product, set_size
from serverquant.runtime._plan cimport Step, fail


# ---- Concat and Split ----------------------------------------------------------------------------------------------

# Parts that are moved at once.
cdef enum:
    PARTS = 32

cdef struct Joint:
    int axis
    bint add_axis           # the axis is only in the joined tensor
    bint equal              # Split: all parts have the same size

cdef void move_parts(const Joint* c, sq_tensor* joined, sq_tensor** parts, int count, bint join) noexcept nogil:
    """Copies all parts into the joined tensor, side by side along the axis, or out of it."""
    cdef const sq_shape* whole = &joined.shape
    cdef char* at = <char*>joined.data
    cdef int64_t outer = product(whole.dims, 0, c.axis)
    cdef int64_t inner = product(whole.dims, c.axis + 1, whole.ndim) * whole.item_bytes
    cdef sq_rows[PARTS] rows
    cdef sq_rows* r
    cdef int i, n = 0
    for i in range(count):
        r = &rows[n]
        r.row_bytes = r.x_pitch = r.y_pitch = part_size(c, parts[i]) * inner
        if join:
            r.x, r.y, r.y_pitch = parts[i].data, at, whole.dims[c.axis] * inner
        else:
            r.x, r.y, r.x_pitch = at, parts[i].data, whole.dims[c.axis] * inner
        at += r.row_bytes
        n += 1
        if n == PARTS or i == count - 1:
            copy_rows(rows, n, outer)
            n = 0


cdef inline int64_t part_size(const Joint* c, const sq_tensor* part) noexcept nogil:
    return 1 if c.add_axis else part.shape.dims[c.axis]


cdef int run_concat(sq_step* s) noexcept nogil:
    cdef Joint* c = <Joint*>s.ctx
    cdef int i
    move_parts(c, s.out[0], s.in_, s.n_in, True)
    for i in range(s.n_in if s.n_out > 1 else 0):
        (<int32_t*>s.out[1].data)[i] = <int32_t>part_size(c, s.in_[i])
    pass_qparams(s.in_[0], s.out[0])
    return SQ_OK


cdef int reshape_concat(sq_step* s, const sq_shape* const* inputs, sq_shape* const* outputs) noexcept nogil:
    """New leading dims: joined when they are the axis, else the same for all."""
    cdef Joint* c = <Joint*>s.ctx
    cdef bint joined = c.axis == 0 and not c.add_axis
    cdef int64_t rows = 0
    cdef int i
    for i in range(s.n_in):
        if joined:
            rows += inputs[i].dims[0]
        elif inputs[i].dims[0] != inputs[0].dims[0]:
            return 1
    outputs[0].dims[1 if c.axis == 0 and c.add_axis else 0] = rows if joined else inputs[0].dims[0]
    set_size(outputs[0])
    return SQ_OK


def concat_step(int axis, bint add_axis) -> Step:
    """Joins the inputs along `axis`; output 1, if there, gets their sizes."""
    cdef Step step = Step()
    cdef Joint* c = <Joint*>step.new_context(sizeof(Joint))
    c.axis, c.add_axis = axis, add_axis
    step.c.run = run_concat
    step.c.reshape = reshape_concat
    step.kernel = "copy_rows"
    return step


cdef int run_split(sq_step* s) noexcept nogil:
    cdef int i
    move_parts(<Joint*>s.ctx, s.in_[0], s.out, s.n_out, False)
    for i in range(s.n_out):
        pass_qparams(s.in_[0], s.out[i])
    return SQ_OK


cdef int reshape_split(sq_step* s, const sq_shape* const* inputs, sq_shape* const* outputs) noexcept nogil:
    """A new leading dim: the same in all parts, or shared out equally when it is the axis."""
    cdef Joint* c = <Joint*>s.ctx
    cdef int64_t rows = inputs[0].dims[0]
    cdef int i
    if c.axis == 0:
        if not c.equal or c.add_axis or rows % s.n_out:
            return 1
        rows //= s.n_out
    for i in range(s.n_out):
        outputs[i].dims[0] = rows
        set_size(outputs[i])
    return SQ_OK


def split_step(int axis, bint add_axis, bint equal) -> Step:
    """Cuts input 0 along `axis` into the outputs, whose shapes say where."""
    cdef Step step = Step()
    cdef Joint* c = <Joint*>step.new_context(sizeof(Joint))
    c.axis, c.add_axis, c.equal = axis, add_axis, equal
    step.c.run = run_split
    step.c.reshape = reshape_split
    step.kernel = "copy_rows"
    return step


# ---- Slice ---------------------------------------------------------------------------------------------------------

cdef struct Slice:
    int count
    int64_t starts[16]      # as given: -k is the dim + 1 - k
    int64_t ends[16]

cdef int64_t resolve(int64_t place, int64_t dim) noexcept nogil:
    """What a start or end means in a dim; see slice_range in schema.py."""
    if place < 0:
        place += dim + 1
    return dim if place > dim else place


cdef int run_slice(sq_step* s) noexcept nogil:
    cdef Slice* c = <Slice*>s.ctx
    cdef sq_shape* x = &s.in_[0].shape
    cdef sq_shape* y = &s.out[0].shape
    cdef int64_t inner
    cdef sq_rows rows
    cdef int axis
    pass_qparams(s.in_[0], s.out[0])
    for axis in range(c.count):
        if y.dims[axis] != x.dims[axis]:
            break
    else:
        copy_bytes(s.in_[0].data, s.out[0].data, x.size * x.item_bytes)
        return SQ_OK
    if y.size == 0:
        return SQ_OK
    inner = product(x.dims, axis + 1, x.ndim) * x.item_bytes
    rows.x, rows.y = <const char*>s.in_[0].data + resolve(c.starts[axis], x.dims[axis]) * inner, s.out[0].data
    rows.x_pitch = x.dims[axis] * inner
    rows.y_pitch = rows.row_bytes = y.dims[axis] * inner
    copy_rows(&rows, 1, product(x.dims, 0, axis))
    return SQ_OK


cdef int reshape_slice(sq_step* s, const sq_shape* const* inputs, sq_shape* const* outputs) noexcept nogil:
    """A new leading dim: whole, or cut anew if no other is cut."""
    cdef Slice* c = <Slice*>s.ctx
    cdef int64_t rows = inputs[0].dims[0], start, end
    cdef int i
    outputs[0].dims[0] = rows
    if c.count:
        start, end = resolve(c.starts[0], rows), resolve(c.ends[0], rows)
        if rows == 0 or start < 0 or end <= start:
            return 1  # whether that may be is for the shape rule to say
        outputs[0].dims[0] = end - start
        for i in range(1, c.count):
            if end - start != rows and outputs[0].dims[i] != inputs[0].dims[i]:
                return 1
    set_size(outputs[0])
    return SQ_OK


def slice_step(list starts, list ends) -> Step:
    """The piece of input 0 that the output's shape says."""
    cdef Step step = Step()
    cdef Slice* c = <Slice*>step.new_context(sizeof(Slice))
    cdef int i
    c.count = len(starts)
    for i in range(c.count):
        c.starts[i], c.ends[i] = starts[i], ends[i]
    step.c.run = run_slice
    step.c.reshape = reshape_slice
    step.kernel = "copy_rows"
    return step


# ---- Tile, NumpyTile, Expand ---------------------------------------------------------------------------------------

cdef struct Repeat:
    int64_t factor

cdef int run_repeat(sq_step* s) noexcept nogil:
    """Dims of x count from the last; those that it lacks are 1."""
    cdef sq_shape* x = &s.in_[0].shape
    cdef sq_shape* y = &s.out[0].shape
    cdef int64_t dims[16]
    cdef int lacking = y.ndim - x.ndim
    cdef int i
    for i in range(y.ndim):
        dims[i] = 1 if i < lacking else x.dims[i - lacking]
    pass_qparams(s.in_[0], s.out[0])
    if repeat(x.item_bytes, s.in_[0].data, s.out[0].data, y.ndim, dims, y.dims):
        return SQ_OK
    return fail(s, "repeats along more dimensions than a tensor has room for")


cdef int reshape_repeat(sq_step* s, const sq_shape* const* inputs, sq_shape* const* outputs) noexcept nogil:
    """A new leading dim of input 0; counts and shapes must not change."""
    cdef int64_t factor = (<Repeat*>s.ctx).factor
    cdef int place = outputs[0].ndim - inputs[0].ndim
    if factor == 0 or place < 0 or inputs[0].dims[0] == 0:
        return 1
    outputs[0].dims[place] = inputs[0].dims[0] * factor
    set_size(outputs[0])
    return SQ_OK


def repeat_step(int64_t factor) -> Step:
    """Repeats input 0 until the output is full; a new first dim gives the output `factor` times as many (0: never)."""
    cdef Step step = Step()
    cdef Repeat* c = <Repeat*>step.new_context(sizeof(Repeat))
    c.factor = factor
    step.c.run = run_repeat
    step.c.reshape = reshape_repeat
    step.kernel = "repeat"
    return step
