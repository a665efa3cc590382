"""Operators that compute on bytes what a float operator computes on floats.

Every input is Int8 or float; a float one is quantized by its range in this run. The output's parameters are fixed, or
those of the range that the float operator gives for the dequantized inputs. With dequantize_output the bytes are turned
into floats at the end. An operator of this kind gives the one thing that is its own: `core`, from bytes to bytes.
"""
from libc.stdlib cimport free
from libc.string cimport memset

from serverquant.blobs._blob cimport SQ_ERROR, SQ_INT8, SQ_OK, SQ_TENSOR, sq_shape
from serverquant.kernels.quantize._quantize cimport dequantize_u8
from serverquant.ops.dnnlowp._params cimport fill, of_input, of_output, quantize_input, room
from serverquant.runtime._plan cimport fail

cdef extern from "<stdlib.h>" nogil:
    int posix_memalign(void** at, size_t alignment, size_t size)

cdef enum:
    FLOAT = 1       # TensorProto.FLOAT


cdef inline bint is_quantized(const Quantized* c, int i) noexcept nogil:
    return (c.quantized >> (i if i < 31 else 31)) & 1


# ---- the float operator, for the range of a dynamic output ---------------------------------------------------------

cdef void* heap_scratch(sq_step* step, size_t nbytes) noexcept nogil:
    """The step's own block; the arena is in use."""
    free((<void**>step.arena)[0])
    if posix_memalign(<void**>step.arena, 64, nbytes + 64) != 0:
        (<void**>step.arena)[0] = NULL
    return (<void**>step.arena)[0]


cdef inline void as_float(sq_tensor* t, const sq_tensor* of, void* data) noexcept nogil:
    t[0] = of[0]
    t.shape.kind, t.shape.dtype, t.shape.item_bytes = SQ_TENSOR, FLOAT, 4
    t.data = data


cdef int run_floats(sq_step* s, const Quantized* c, sq_tensor* tensors, sq_tensor** places,
                    char* scratch) noexcept nogil:
    """Run the float operator; its outputs are from tensors[n_in] on. SQ_OK or SQ_ERROR."""
    cdef sq_step inner = c.floats
    cdef void* block = NULL
    cdef int i, status
    for i in range(s.n_in):
        places[i] = s.in_[i]
        if s.in_[i].shape.kind == SQ_INT8:
            as_float(&tensors[i], s.in_[i], scratch)
            dequantize_u8(<const uint8_t*>s.in_[i].data, <float*>scratch, s.in_[i].shape.size, s.in_[i].scale,
                          s.in_[i].zero_point)
            scratch += room(s.in_[i].shape.size * 4)
            places[i] = &tensors[i]
    for i in range(s.n_out):
        places[s.n_in + i] = s.out[i]
        if i == 0 or (i == 1 and c.second.there):
            as_float(&tensors[s.n_in + i], s.out[i], scratch)
            scratch += room(s.out[i].shape.size * 4)
            places[s.n_in + i] = &tensors[s.n_in + i]
    inner.in_, inner.out, inner.n_in, inner.n_out = places, places + s.n_in, s.n_in, s.n_out
    inner.scratch, inner.arena, inner.error = heap_scratch, &block, s.error
    status = inner.run(&inner)
    free(block)
    return SQ_OK if status == SQ_OK else SQ_ERROR


# ---- the float operator on bytes -----------------------------------------------------------------------------------

cdef int64_t tensors_room(const sq_step* s) noexcept nogil:
    return room((s.n_in + 1) * sizeof(sq_tensor) + (s.n_in + s.n_out) * sizeof(void*))


cdef int run_on_bytes(sq_step* s, const uint8_t* const* ins, uint8_t* y, void* where) noexcept nogil:
    cdef const Quantized* c = <Quantized*>s.ctx
    cdef sq_step inner = c.floats
    cdef sq_tensor* tensors = <sq_tensor*>where
    cdef sq_tensor** places = <sq_tensor**>(tensors + s.n_in + 1)
    cdef int i
    for i in range(s.n_in):
        places[i] = s.in_[i]
        if ins[i] != NULL:
            tensors[i] = s.in_[i][0]
            tensors[i].shape.kind, tensors[i].shape.item_bytes, tensors[i].data = SQ_INT8, 1, <void*>ins[i]
            places[i] = &tensors[i]
    tensors[s.n_in] = s.out[0][0]
    tensors[s.n_in].shape.kind, tensors[s.n_in].shape.item_bytes, tensors[s.n_in].data = SQ_INT8, 1, y
    places[s.n_in] = &tensors[s.n_in]
    for i in range(1, s.n_out):
        places[s.n_in + i] = s.out[i]
    inner.in_, inner.out, inner.n_in, inner.n_out = places, places + s.n_in, s.n_in, s.n_out
    inner.scratch, inner.arena, inner.error = s.scratch, s.arena, s.error
    return inner.run(&inner)


cdef int move(sq_step* s, const QInput* ins, uint8_t* y, float scale, int zero_point, void* scratch) noexcept nogil:
    cdef const uint8_t** bytes = <const uint8_t**>(<char*>scratch + tensors_room(s))
    cdef int i
    for i in range(s.n_in):
        bytes[i] = ins[i].q
    return run_on_bytes(s, bytes, y, scratch)


cdef int64_t move_scratch(sq_step* s) noexcept nogil:
    return tensors_room(s) + s.n_in * sizeof(void*)


def moved_step(options, Step floats) -> Step:
    """Moves input 0's bytes as the float operator does floats; the output has input 0's parameters. A float input is
    quantized by the parameters that the operator fixes, or by its range."""
    cdef Step step = Step()
    cdef Quantized* c = new_quantized(step, sizeof(Quantized), options, floats, move, 1)
    c.extra, c.keeps = move_scratch, True
    step.kernel = floats.kernel
    return step


# ---- a run ---------------------------------------------------------------------------------------------------------

# Where the parts of a run's scratch lie, in bytes.
cdef struct Layout:
    int64_t places, tensors, bytes, floats, y, extra, total


cdef Layout layout(sq_step* s, const Quantized* c) noexcept nogil:
    cdef Layout at
    cdef int64_t n
    cdef int i
    at.places = room(s.n_in * sizeof(QInput))
    at.tensors = at.places + room((s.n_in + s.n_out) * sizeof(void*))
    at.bytes = at.tensors + room((s.n_in + 2) * sizeof(sq_tensor))
    at.floats = at.bytes
    n = room(s.out[0].shape.size * 4) * (2 if c.second.there else 1)
    for i in range(s.n_in):
        if s.in_[i].shape.kind == SQ_INT8:
            n += room(s.in_[i].shape.size * 4)
        elif is_quantized(c, i):
            at.floats += room(s.in_[i].shape.size)
    at.y = at.floats + (0 if (c.params.fixed and c.core != NULL) or c.keeps or c.direct else n)
    at.extra = at.y + (room(s.out[0].shape.size) * (2 if c.second.there else 1) if c.params.dequantize else 0)
    at.total = at.extra + (room(c.extra(s)) if c.extra != NULL else 0)
    return at


cdef void read_inputs(sq_step* s, const Quantized* c, QInput* ins, char* scratch) noexcept nogil:
    cdef const sq_tensor* x
    cdef int i
    memset(ins, 0, s.n_in * sizeof(QInput))
    for i in range(s.n_in):
        if not is_quantized(c, i):
            continue
        x = s.in_[i]
        of_input(&c.params, x, &ins[i].scale, &ins[i].zero_point)
        if c.keeps and c.params.fixed and x.shape.kind != SQ_INT8:
            ins[i].scale, ins[i].zero_point = c.params.scale, c.params.zero_point
        ins[i].q = <const uint8_t*>x.data
        if x.shape.kind != SQ_INT8:
            ins[i].q = <uint8_t*>scratch
            quantize_input(&c.params, x, <uint8_t*>scratch, ins[i].scale, ins[i].zero_point)
            scratch += room(x.shape.size)


cdef int run_quantized(sq_step* s) noexcept nogil:
    cdef Quantized* c = <Quantized*>s.ctx
    cdef sq_tensor* y = s.out[0]
    cdef Layout at = layout(s, c)
    cdef char* scratch = <char*>s.scratch(s, at.total)
    cdef QInput* ins = <QInput*>scratch
    cdef sq_tensor* tensors = <sq_tensor*>(scratch + at.tensors)
    cdef uint8_t* out = <uint8_t*>(scratch + at.y) if c.params.dequantize else <uint8_t*>y.data
    cdef float scale = c.params.scale
    cdef int zero_point = c.params.zero_point
    if scratch == NULL:
        return fail(s, "no memory for scratch")
    if c.bare and y.shape.size == 0:
        y.scale, y.zero_point = 1, 0
        return SQ_OK
    read_inputs(s, c, ins, scratch + at.bytes)
    if c.keeps:
        scale, zero_point = ins[0].scale, ins[0].zero_point
    elif not (c.params.fixed or c.direct):
        if run_floats(s, c, tensors, <sq_tensor**>(scratch + at.places), scratch + at.floats) != SQ_OK:
            return SQ_ERROR
        of_output(&c.params, <const float*>tensors[s.n_in].data, y.shape.size, &scale, &zero_point)
    if c.second.there:
        of_output(&c.second.params, <const float*>tensors[s.n_in + 1].data, s.out[1].shape.size, &c.second.scale,
                  &c.second.zero_point)
        c.second.y = out + room(y.shape.size) if c.params.dequantize else <uint8_t*>s.out[1].data
    if c.core(s, ins, out, scale, zero_point, scratch + at.extra) != SQ_OK:
        return SQ_ERROR
    if c.direct:
        return SQ_OK
    if c.params.dequantize:
        dequantize_u8(out, <float*>y.data, y.shape.size, scale, zero_point)
        if c.second.there:
            dequantize_u8(c.second.y, <float*>s.out[1].data, s.out[1].shape.size, c.second.scale, c.second.zero_point)
        return SQ_OK
    y.scale, y.zero_point = scale, zero_point
    if c.second.there:
        s.out[1].scale, s.out[1].zero_point = c.second.scale, c.second.zero_point
    return SQ_OK


cdef int run_then_quantize(sq_step* s) noexcept nogil:
    """Scratch: QInput (unused) | places | tensors | the float output."""
    cdef Quantized* c = <Quantized*>s.ctx
    cdef sq_tensor* y = s.out[0]
    cdef Layout at = layout(s, c)
    cdef char* scratch = <char*>s.scratch(s, at.total)
    cdef sq_tensor* tensors = <sq_tensor*>(scratch + at.tensors)
    cdef float scale
    cdef int zero_point
    if scratch == NULL:
        return fail(s, "no memory for scratch")
    if run_floats(s, c, tensors, <sq_tensor**>(scratch + at.places), scratch + at.floats) != SQ_OK:
        return SQ_ERROR
    of_output(&c.params, <const float*>tensors[s.n_in].data, y.shape.size, &scale, &zero_point)
    quantize_input(&c.params, &tensors[s.n_in], <uint8_t*>y.data, scale, zero_point)
    y.scale, y.zero_point = scale, zero_point
    return SQ_OK


def then_quantize_step(options, Step floats) -> Step:
    """The float operator on floats; its output is quantized by fixed parameters, or by its range."""
    cdef Step step = Step()
    new_quantized(step, sizeof(Quantized), options, floats, NULL, 0)
    step.c.run, step.kernel = run_then_quantize, floats.kernel
    return step


cdef int reshape_quantized(sq_step* s, const sq_shape* const* inputs, sq_shape* const* outputs) noexcept nogil:
    cdef Quantized* c = <Quantized*>s.ctx
    cdef sq_step inner = c.floats
    inner.n_in, inner.n_out = s.n_in, s.n_out
    return inner.reshape(&inner, inputs, outputs)


cdef Quantized* new_quantized(Step step, size_t nbytes, options, Step floats, core_fn core,
                              uint32_t quantized, bint relu=False) except NULL:
    cdef Quantized* c = <Quantized*>step.new_context(nbytes)
    fill(&c.params, options, relu)
    c.core, c.quantized, c.floats = core, quantized, floats.c
    step.c.run, step.c.rows = run_quantized, floats.c.rows
    if floats.c.reshape != NULL:
        step.c.reshape = reshape_quantized
    step.keep = floats
    return c
