"""Native steps that quantize the rows of a table by themselves, and back."""
from libc.stdint cimport int64_t, uint8_t, uint16_t
from libc.string cimport memcpy

from serverquant.blobs._blob cimport SQ_OK, sq_step, sq_tensor
from serverquant.kernels.half._half cimport from_f16, to_f16
from serverquant.kernels.rowwise._rowwise cimport dequantize_rows, quantize_rows, sq_row_bytes
from serverquant.ops._native cimport index_at
from serverquant.runtime._plan cimport Step, fail

from serverquant.kernels.rowwise._rowwise import FORMATS


cdef struct Rows:
    int format, bits
    bint greedy, half       # half: the float side is float16
    int64_t columns


cdef int run_quantize(sq_step* s) noexcept nogil:
    """Scratch: a float16 table as floats."""
    cdef Rows* c = <Rows*>s.ctx
    cdef const sq_tensor* x = s.in_[0]
    cdef const float* values = <const float*>x.data
    cdef float* apart = NULL
    cdef int64_t rows
    if s.n_out > 1:
        apart, rows = <float*>s.out[1].data, s.out[1].shape.dims[0]
    else:  # a row without values has parameters all the same
        rows = s.out[0].shape.size // sq_row_bytes(c.format, c.columns)
    if c.half:
        values = <float*>s.scratch(s, x.shape.size * sizeof(float) + 1)
        if values == NULL:
            return fail(s, "no memory for the table as floats")
        from_f16(<const uint16_t*>x.data, <float*>values, x.shape.size)
    quantize_rows(values, <uint8_t*>s.out[0].data, apart, rows, c.columns, c.format, c.bits, c.greedy)
    return SQ_OK


cdef int run_dequantize(sq_step* s) noexcept nogil:
    """Scratch: a float16 output as floats."""
    cdef Rows* c = <Rows*>s.ctx
    cdef sq_tensor* y = s.out[0]
    cdef const float* apart = <const float*>s.in_[1].data if s.n_in > 1 else NULL
    cdef float* values = <float*>y.data
    if y.shape.size == 0:
        return SQ_OK
    if c.half:
        values = <float*>s.scratch(s, y.shape.size * sizeof(float) + 1)
        if values == NULL:
            return fail(s, "no memory for the table as floats")
    dequantize_rows(<const uint8_t*>s.in_[0].data, apart, values, y.shape.size // c.columns, c.columns, c.format)
    if c.half:
        to_f16(values, <uint16_t*>y.data, y.shape.size)
    return SQ_OK


cdef int run_gather(sq_step* s) noexcept nogil:
    """Scratch: the rows that were asked for."""
    cdef Rows* c = <Rows*>s.ctx
    cdef const sq_tensor* table = s.in_[0]
    cdef const sq_tensor* indices = s.in_[1]
    cdef int64_t n = indices.shape.size, rows = table.shape.dims[0], width = table.shape.dims[1], i, index
    cdef uint8_t* chosen = <uint8_t*>s.scratch(s, n * width + 1)
    if chosen == NULL:
        return fail(s, "no memory for scratch")
    for i in range(n):
        index = index_at(indices, i)
        if index < 0 or index >= rows:
            return fail(s, "index %lld (place %lld) is outside of the table's %lld rows", <long long>index,
                        <long long>i, <long long>rows)
        memcpy(chosen + i * width, <const uint8_t*>table.data + index * width, width)
    dequantize_rows(chosen, NULL, <float*>s.out[0].data, n, c.columns, c.format)
    return SQ_OK


cdef Step rows_step(int (*run)(sq_step*) noexcept nogil, str form, int64_t columns, bint batched):
    """batched: the first dim counts rows (of a tensor of one dimension it is the row)."""
    cdef Step step = Step()
    cdef Rows* c = <Rows*>step.new_context(sizeof(Rows))
    c.format, c.columns = FORMATS[form], columns
    step.c.run = run
    step.c.rows = batched
    return step


def quantize_step(str form, int64_t columns, int bits, bint greedy, bint half, bint batched) -> Step:
    """Rows of so many float (or float16) values into a format of rowwise.h; without values the parameters alone."""
    cdef Step step = rows_step(run_quantize, form, columns, batched)
    cdef Rows* c = <Rows*>step.c.ctx
    c.bits, c.greedy, c.half = bits, greedy, half
    step.kernel = "quantize_rows"
    return step


def dequantize_step(str form, int64_t columns, bint half, bint batched) -> Step:
    """And back."""
    cdef Step step = rows_step(run_dequantize, form, columns, batched)
    (<Rows*>step.c.ctx).half = half
    if form == "apart":
        step.c.rows = 3  # the parameters have as many rows
    step.kernel = "dequantize_rows"
    return step


def gather_step(str form, int64_t columns) -> Step:
    """Rows that the second input names, as floats."""
    cdef Step step = rows_step(run_gather, form, columns, True)
    step.c.rows = 2
    step.kernel = "dequantize_rows"
    return step
