"""Native step of the products of matrices of Int8 tensors, engine DNNLOWP."""
from libc.stdint cimport int16_t, int64_t, uint8_t

from serverquant.blobs._blob cimport SQ_OK, SQ_PREPARE, sq_shape, sq_step
from serverquant.kernels.matmul_s16._matmul_s16 cimport matmul_s16, sq_matmul_s16_job, widen
from serverquant.ops.dnnlowp._params cimport room
from serverquant.ops.dnnlowp._quantized cimport QInput, Quantized, new_quantized, run_quantized
from serverquant.runtime._plan cimport Step


cdef struct Product:
    Quantized base
    bint trans_a, trans_b
    bint constant               # B was prepared
    const int16_t* weight       # NULL: nothing was prepared yet
    const float* weight_scales  # of each of B's matrices
    unsigned long long version


# How the operands are seen: matrices of m x k and k x n, of which there are so many.
cdef struct Sizes:
    int64_t m, n, k, a_count, b_count, batch


cdef inline void matrix(const sq_shape* shape, bint column, bint trans, int64_t* rows, int64_t* columns) noexcept nogil:
    """A vector is a row, or a column."""
    if shape.ndim == 1:
        rows[0], columns[0] = 1, shape.dims[0]
        if column:
            rows[0], columns[0] = columns[0], 1
        return
    rows[0], columns[0] = shape.dims[shape.ndim - 2], shape.dims[shape.ndim - 1]
    if trans:
        rows[0], columns[0] = columns[0], rows[0]


cdef Sizes sizes_of(sq_step* s, const Product* c) noexcept nogil:
    cdef Sizes z
    cdef int i
    matrix(&s.in_[0].shape, False, c.trans_a, &z.m, &z.k)
    matrix(&s.in_[1].shape, True, c.trans_b, &z.k, &z.n)
    z.a_count = z.b_count = 1
    for i in range(s.in_[0].shape.ndim - 2):
        z.a_count *= s.in_[0].shape.dims[i]
    for i in range(s.in_[1].shape.ndim - 2):
        z.b_count *= s.in_[1].shape.dims[i]
    z.batch = s.out[0].shape.size // (z.m * z.n) if z.m * z.n else 0
    return z


cdef int64_t place(const sq_shape* of, int64_t index, const sq_shape* out, int batch_dims) noexcept nogil:
    """Which of an operand's matrices meets matrix `index` of the output: numpy's broadcasting of batch dims."""
    cdef int64_t at = 0, step = 1, dim, i
    cdef int own = of.ndim - 2, d, k
    for d in range(batch_dims):
        k = batch_dims - 1 - d
        i = index % out.dims[k]
        index //= out.dims[k]
        if d < own:
            dim = of.dims[own - 1 - d]
            at += step * (i if dim > 1 else 0)
            step *= dim
    return at


cdef int64_t scratch_bytes(sq_step* s) noexcept nogil:
    cdef const Product* c = <Product*>s.ctx
    cdef Sizes z = sizes_of(s, c)
    cdef int64_t own = 0 if c.constant else room(z.b_count * z.n * z.k * 2)
    return room(z.a_count * z.m * z.k * 2) + own + room(z.batch * 8) * 2 + room(z.b_count * 4)


cdef void multiply(sq_step* s, const Product* c, const QInput* ins, void* y, bint floats, float scale, int zero_point,
                   char* scratch) noexcept nogil:
    """Scratch: A as int16 | B as int16 | places of the matrices in A | in B | multipliers."""
    cdef Sizes z = sizes_of(s, c)
    cdef int16_t* a = <int16_t*>scratch
    cdef int16_t* b = <int16_t*>(scratch + room(z.a_count * z.m * z.k * 2))
    cdef int64_t* a_at = <int64_t*>(<char*>b + (0 if c.constant else room(z.b_count * z.n * z.k * 2)))
    cdef int64_t* b_at = <int64_t*>(<char*>a_at + room(z.batch * 8))
    cdef float* multipliers = <float*>(<char*>b_at + room(z.batch * 8))
    cdef int batch_dims = max(s.in_[0].shape.ndim, s.in_[1].shape.ndim) - 2
    cdef sq_matmul_s16_job job
    cdef int64_t i
    for i in range(z.batch):
        a_at[i] = place(&s.in_[0].shape, i, &s.out[0].shape, batch_dims)
        b_at[i] = place(&s.in_[1].shape, i, &s.out[0].shape, batch_dims)
    widen(ins[0].q, a, z.a_count, z.k if c.trans_a else z.m, z.m if c.trans_a else z.k, ins[0].zero_point, c.trans_a)
    if not c.constant:
        widen(ins[1].q, b, z.b_count, z.n if c.trans_b else z.k, z.k if c.trans_b else z.n, ins[1].zero_point,
              not c.trans_b)
    for i in range(z.b_count if c.constant else 1):
        multipliers[i] = ins[0].scale * (c.weight_scales[i] if c.constant else ins[1].scale)
        if not floats:
            multipliers[i] = multipliers[i] / scale
    job.a, job.b, job.a_at, job.b_at = a, c.weight if c.constant else b, a_at, b_at
    job.multipliers, job.by_b, job.y, job.floats = multipliers, c.constant, y, floats
    job.m, job.n, job.k = z.m, z.n, z.k
    job.zero_point, job.lo = zero_point, 0
    job.hi = 255 if c.constant else (1 << c.base.params.precision) - 1     # as Caffe2 does
    matmul_s16(&job, z.batch)


cdef int product(sq_step* s, const QInput* ins, uint8_t* y, float scale, int zero_point, void* scratch) noexcept nogil:
    """With dequantize_output the sums themselves become floats, so that Y_scale does not matter."""
    cdef const Product* c = <Product*>s.ctx
    if s.out[0].shape.size:
        multiply(s, c, ins, s.out[0].data if c.base.direct else y, c.base.direct, scale, zero_point, <char*>scratch)
    return SQ_OK


cdef bint no_matrices(const sq_step* s) noexcept nogil:
    """Whether the batch is empty: in Caffe2 the output then has the parameters of a new tensor."""
    cdef int i
    for i in range(s.out[0].shape.ndim - (s.in_[0].shape.ndim > 1) - (s.in_[1].shape.ndim > 1)):
        if s.out[0].shape.dims[i] == 0:
            return True
    return False


cdef int run_product(sq_step* s) noexcept nogil:
    cdef const Product* c = <Product*>s.ctx
    if c.constant and (c.weight == NULL or c.version != s.in_[1].version):
        return SQ_PREPARE
    if no_matrices(s):
        s.out[0].scale, s.out[0].zero_point = 1, 0
        return SQ_OK
    return run_quantized(s)


def product_step(options, Step floats, *, bint trans_a, bint trans_b, bint constant) -> Step:
    """Y = A B; constant: prepare with `set_weight`."""
    cdef Step step = Step()
    cdef Product* c = <Product*>new_quantized(step, sizeof(Product), options, floats, product, 1 if constant else 3)
    c.base.extra, c.base.direct = scratch_bytes, options.dequantize_output
    c.trans_a, c.trans_b, c.constant = trans_a, trans_b, constant
    step.c.run, step.kernel = run_product, "matmul_s16"
    return step


def set_weight(Step step, const int16_t[:, :, ::1] weight, const float[::1] scales, version) -> None:
    """B's matrices as int16 [count, n, k], zero points taken off, and their scales."""
    cdef Product* c = <Product*>step.c.ctx
    c.weight, c.weight_scales, c.version = &weight[0, 0, 0], &scales[0], version
    step.keep = (step.keep, weight, scales)
