"""Native steps of matrix products."""
from libc.stdint cimport int64_t

import numpy as np

from serverquant.blobs._blob cimport SQ_OK, SQ_PREPARE, sq_shape, sq_step
from serverquant.kernels.gemm_f32._gemm_f32 cimport sq_gemm_f32_row
from serverquant.kernels.matmul_f32._matmul_f32 cimport (
    matmul_f32,
    matmul_row,
    pack_panels,
    packs,
    panel_floats,
    sq_matmul_f32_job,
)
from serverquant.kernels.transpose._transpose cimport transpose_2d
from serverquant.ops.dnnlowp._params cimport room
from serverquant.runtime._plan cimport Step, fail


cdef struct Product:
    const sq_gemm_f32_row* row
    bint trans_a, trans_b
    bint flat                       # MatMul: the inputs are matrices, cut at these axes
    int axis_a, axis_b
    const float* kept               # B's panels, as long as its version stays; NULL: none
    unsigned long long version
    bint varies                     # B was another in a later run: it is packed at every run


# The sizes of one run: both inputs as (batch dims, rows, columns), not transposed.
cdef struct Sizes:
    int64_t a_rows, a_columns, b_rows, b_columns
    int ndim                        # batch dims
    int64_t[16] a_dims, b_dims      # right-aligned, with leading ones
    int64_t a_count, b_count, batch
    int64_t m, n, k
    bint broadcast                  # a matrix is used more than once


cdef int64_t volume(const int64_t* dims, int begin, int end) noexcept nogil:
    cdef int64_t p = 1
    cdef int i
    for i in range(begin, end):
        p *= dims[i]
    return p


cdef void cut(const sq_shape* s, int axis, int64_t* rows, int64_t* columns) noexcept nogil:
    rows[0], columns[0] = volume(s.dims, 0, axis), volume(s.dims, axis, s.ndim)


cdef bint sizes_of(const Product* c, const sq_shape* a, const sq_shape* b, Sizes* z) noexcept nogil:
    """False if the shapes do not fit."""
    cdef int i, a_batch = 0, b_batch = 0
    z.a_rows, z.b_columns = 1, 1
    if c.flat:
        cut(a, c.axis_a, &z.a_rows, &z.a_columns)
        cut(b, c.axis_b, &z.b_rows, &z.b_columns)
    else:
        a_batch, b_batch = a.ndim - 2, b.ndim - 2
        z.a_columns, z.b_rows = a.dims[a.ndim - 1], b.dims[0]
        if a_batch >= 0:
            z.a_rows = a.dims[a_batch]
        if b_batch >= 0:
            z.b_rows, z.b_columns = b.dims[b_batch], b.dims[b_batch + 1]
        a_batch, b_batch = max(a_batch, 0), max(b_batch, 0)
    z.m, z.k = (z.a_columns, z.a_rows) if c.trans_a else (z.a_rows, z.a_columns)
    z.n = z.b_rows if c.trans_b else z.b_columns
    z.ndim = max(a_batch, b_batch)
    z.batch, z.broadcast = 1, False
    for i in range(z.ndim):
        z.a_dims[i] = a.dims[i - z.ndim + a_batch] if i >= z.ndim - a_batch else 1
        z.b_dims[i] = b.dims[i - z.ndim + b_batch] if i >= z.ndim - b_batch else 1
        if z.a_dims[i] != z.b_dims[i]:
            z.broadcast = True
            if z.a_dims[i] != 1 and z.b_dims[i] != 1:
                return False
        z.batch *= z.b_dims[i] if z.a_dims[i] == 1 else z.a_dims[i]
    z.a_count, z.b_count = volume(z.a_dims, 0, z.ndim), volume(z.b_dims, 0, z.ndim)
    return z.k == (z.b_columns if c.trans_b else z.b_rows)


cdef void find_places(const Sizes* z, int64_t a_floats, int64_t b_floats, int64_t* a_at, int64_t* b_at) noexcept nogil:
    """Where the matrices of each product begin."""
    cdef int64_t i, rest, a, b, a_step, b_step, size, at
    cdef int d
    for i in range(z.batch):
        rest, a, b, a_step, b_step = i, 0, 0, 1, 1
        for d in range(z.ndim - 1, -1, -1):
            size = z.b_dims[d] if z.a_dims[d] == 1 else z.a_dims[d]
            at = rest % size
            rest //= size
            if z.a_dims[d] != 1:
                a += at * a_step
            if z.b_dims[d] != 1:
                b += at * b_step
            a_step *= z.a_dims[d]
            b_step *= z.b_dims[d]
        a_at[i], b_at[i] = a * a_floats, b * b_floats


cdef int run_product(sq_step* s) noexcept nogil:
    """Scratch: A turned around | B's panels | places of the matrices."""
    cdef Product* c = <Product*>s.ctx
    cdef Sizes z
    cdef sq_matmul_f32_job job
    cdef int64_t a_bytes, b_bytes, places, floats
    cdef char* scratch
    cdef bint pack
    if s.out[0].shape.size == 0:
        return SQ_OK
    if not sizes_of(c, &s.in_[0].shape, &s.in_[1].shape, &z):
        return fail(s, "the matrices do not fit")
    if z.b_count == 1 and not c.trans_a:
        # One B for all: the batch is more rows.
        z.m, z.a_count, z.batch, z.ndim, z.broadcast = z.m * z.a_count, 1, 1, 0, False
    pack = packs(c.row, z.m, c.trans_b)
    if pack and not c.varies and c.version != s.in_[1].version:
        if c.version == 0:
            return SQ_PREPARE
        c.varies = True
    floats = panel_floats(c.row, z.n, z.k) if pack else z.n * z.k
    a_bytes = room(s.in_[0].shape.size * 4) if c.trans_a else 0
    b_bytes = room(z.b_count * floats * 4) if pack and c.varies else 0
    places = room(z.batch * 8) if z.broadcast else 0
    scratch = <char*>s.scratch(s, a_bytes + b_bytes + 2 * places + 64)
    if scratch == NULL:
        return fail(s, "no memory for a matrix product's scratch")
    job.row, job.batch, job.m, job.n, job.k = c.row, z.batch, z.m, z.n, z.k
    job.a, job.a_step, job.lda, job.a_at = <float*>s.in_[0].data, z.m * z.k, z.k, NULL
    job.b, job.b_step, job.ldb, job.b_at = <float*>s.in_[1].data, floats, z.n, NULL
    job.panels, job.row_bias, job.out = pack, NULL, <float*>s.out[0].data
    if c.trans_a:
        transpose_2d(4, job.a, scratch, z.a_count, z.k, z.m)
        job.a = <float*>scratch
    if pack and c.varies:
        pack_panels(c.row, job.b, c.trans_b, z.b_count, z.n, z.k, <float*>(scratch + a_bytes))
        job.b = <float*>(scratch + a_bytes)
    elif pack:
        job.b = c.kept
    if z.broadcast:
        job.a_at, job.b_at = <int64_t*>(scratch + a_bytes + b_bytes), <int64_t*>(scratch + a_bytes + b_bytes + places)
        find_places(&z, job.a_step, job.b_step, <int64_t*>job.a_at, <int64_t*>job.b_at)
    matmul_f32(&job)
    return SQ_OK


cdef int reshape_product(sq_step* s, const sq_shape* const* ins, sq_shape* const* outs) noexcept nogil:
    cdef Product* c = <Product*>s.ctx
    cdef Sizes z
    cdef int i, n = 0
    if s.n_in > 2 or ins[0].ndim == 0 or ins[1].ndim == 0 or not sizes_of(c, ins[0], ins[1], &z):
        return 1
    if z.broadcast and not c.flat and s.rows == 0:
        return 1
    for i in range(z.ndim):
        outs[0].dims[n] = z.b_dims[i] if z.a_dims[i] == 1 else z.a_dims[i]
        n += 1
    if c.flat or ins[0].ndim > 1:
        outs[0].dims[n] = z.m
        n += 1
    if c.flat or ins[1].ndim > 1:
        outs[0].dims[n] = z.n
        n += 1
    if n == 0:
        return 1
    outs[0].size = z.batch * z.m * z.n
    return SQ_OK if n == outs[0].ndim else 1


cdef Step new_product(bint trans_a, bint trans_b):
    cdef Step step = Step()
    cdef Product* c = <Product*>step.new_context(sizeof(Product))
    c.row, c.trans_a, c.trans_b = matmul_row(), trans_a, trans_b
    step.c.run = run_product
    step.c.reshape = reshape_product
    step.kernel = c.row.name.decode()
    return step


def matmul_step(int axis_a, int axis_b, *, bint trans_a, bint trans_b) -> Step:
    """Y = A B of matrices, cut at these axes; prepare with `set_panels`."""
    cdef Step step = new_product(trans_a, trans_b)
    cdef Product* c = <Product*>step.c.ctx
    c.flat, c.axis_a, c.axis_b = True, axis_a, axis_b
    return step


def batch_step(*, bint trans_a, bint trans_b, bint varies=False) -> Step:
    """Y = A B of every matrix of a batch; prepare with `set_panels`, unless B is another at every run (`varies`)."""
    cdef Step step = new_product(trans_a, trans_b)
    (<Product*>step.c.ctx).varies = varies
    return step


def panel_layout(Step step, dims) -> tuple:
    """(matrices, rows, columns, transposed, row of the kernel table) of a B of these dims, for `pack`."""
    cdef Product* c = <Product*>step.c.ctx
    if c.flat:
        matrix = int(np.prod(dims[:c.axis_b])), int(np.prod(dims[c.axis_b:]))
    else:
        matrix = (dims[0], 1) if len(dims) == 1 else dims[-2:]
    count = 1 if c.flat else int(np.prod(dims[:-2]))
    return count, *matrix, bool(c.trans_b), c.row.name.decode()


def pack(b, int64_t count, int64_t rows, int64_t columns, bint transposed, row) -> np.ndarray:
    """Panels of `count` matrices."""
    cdef const sq_gemm_f32_row* use = matmul_row()
    cdef int64_t n = rows if transposed else columns, k = columns if transposed else rows
    cdef const float[::1] source = b.ravel()
    panels = np.zeros(count * panel_floats(use, n, k) + 32, np.float32)
    cdef float[::1] out = panels[-panels.ctypes.data % 64 // 4:]
    if source.shape[0]:
        with nogil:
            pack_panels(use, &source[0], transposed, count, n, k, &out[0])
    return np.asarray(out)


def set_panels(Step step, panels, version) -> None:
    """Point the step to B's panels, which it keeps alive."""
    cdef Product* c = <Product*>step.c.ctx
    cdef const float[::1] data = panels
    c.kept, c.version = &data[0], version
    step.keep = panels
