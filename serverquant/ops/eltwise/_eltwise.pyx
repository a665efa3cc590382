"""Native steps of sums, products, comparisons and logic of plain tensors."""
from libc.stdint cimport int32_t, int64_t

from serverquant.blobs._blob cimport SQ_OK, sq_step, sq_tensor
from serverquant.kernels.binary._binary cimport (
    SQ_MAX_DIMS,
    Kernel,
    binary_grid,
    binary_strided,
    find_kernel,
    fold,
    set_grid,
    sq_binary_job,
)
from serverquant.kernels.norm._norm cimport affine_channels
from serverquant.runtime._plan cimport Step, fail


cdef struct Grid:
    Kernel kernel
    bint swapped, no_zeros
    int64_t size, rest          # elements of the output; of them, those of an item of dims[0]
    sq_binary_job job


cdef int64_t first_zero(const sq_tensor* x) noexcept nogil:
    """The place of an integer tensor's first 0; -1 if there is none."""
    cdef int64_t i
    for i in range(x.shape.size):
        if (<int64_t*>x.data)[i] == 0 if x.shape.item_bytes == 8 else (<int32_t*>x.data)[i] == 0:
            return i
    return -1


cdef int run_grid(sq_step* s) noexcept nogil:
    cdef Grid* c = <Grid*>s.ctx
    cdef int64_t size = s.out[0].shape.size, zero
    if size == 0:
        return SQ_OK
    if size != c.size:
        c.size = size
        c.job.dims[0] = size // c.rest
    if c.no_zeros:
        zero = first_zero(s.in_[1])
        if zero >= 0:
            return fail(s, "division by zero: element %lld of input 1", zero)
    c.job.a, c.job.b, c.job.y = s.in_[c.swapped].data, s.in_[not c.swapped].data, s.out[0].data
    binary_grid(&c.kernel, &c.job, size)
    return SQ_OK


def grid_step(str kernel, int rows, list dims, list a_strides, list b_strides, bint swapped=False,
              bint no_zeros=False) -> Step:
    """y = f(a, b) over the dims, each input at its strides (in elements, 0 where it repeats). swapped: f(b, a).
    no_zeros: an integer b with a 0 is an error."""
    cdef Step step = Step()
    cdef Grid* c = <Grid*>step.new_context(sizeof(Grid))
    cdef int64_t[3][SQ_MAX_DIMS] grid
    cdef int i
    find_kernel(&c.kernel, kernel)
    c.swapped, c.no_zeros = swapped, no_zeros
    for i, column in enumerate((dims, b_strides, a_strides) if swapped else (dims, a_strides, b_strides)):
        for d, value in enumerate(column):
            grid[i][<int>d] = value
    set_grid(&c.job, len(dims), grid[0], grid[1], grid[2])
    c.rest = 1
    for i in range(1, c.job.ndim):
        c.rest *= c.job.dims[i]
    step.c.run = run_grid
    step.c.rows = rows
    step.kernel = kernel
    return step


cdef struct Power:
    Kernel kernel
    float exponent

cdef int run_power(sq_step* s) noexcept nogil:
    cdef Power* c = <Power*>s.ctx
    cdef int64_t one = 1, zero = 0, n = s.in_[0].shape.size
    binary_strided(&c.kernel, s.in_[0].data, &one, &c.exponent, &zero, s.out[0].data, 1, &n)
    return SQ_OK


def power_step(float exponent) -> Step:
    """y = x ^ exponent."""
    cdef Step step = Step()
    cdef Power* c = <Power*>step.new_context(sizeof(Power))
    find_kernel(&c.kernel, "pow_f32")
    c.exponent = exponent
    step.c.run = run_power
    step.c.rows = 1
    step.kernel = "pow_f32"
    return step


cdef int run_fold(sq_step* s) noexcept nogil:
    cdef const void** inputs = <const void**>s.scratch(s, s.n_in * sizeof(void*))
    cdef int i
    if inputs == NULL:
        return fail(s, "no memory for scratch")
    for i in range(s.n_in):
        inputs[i] = s.in_[i].data
    fold(<Kernel*>s.ctx, inputs, s.n_in, s.out[0].data, s.out[0].shape.size)
    return SQ_OK


def fold_step(str kernel, int count) -> Step:
    """All inputs, from left to right."""
    cdef Step step = Step()
    find_kernel(<Kernel*>step.new_context(sizeof(Kernel)), kernel)
    step.c.run = run_fold
    step.c.rows = (1 << count) - 1 if count < 32 else 0
    step.kernel = kernel
    return step


cdef struct Affine:
    int64_t channels, inner

cdef int run_affine(sq_step* s) noexcept nogil:
    cdef Affine* c = <Affine*>s.ctx
    cdef int64_t block = c.channels * c.inner
    affine_channels(<float*>s.in_[0].data, <float*>s.out[0].data, <float*>s.in_[1].data, <float*>s.in_[2].data,
                    s.in_[0].shape.size // block if block else 0, c.channels, c.inner)
    return SQ_OK


def affine_step(int64_t channels, int64_t inner, bint batched=True) -> Step:
    """y = x * input 1 + input 2 for each channel; x is (outer, channels, inner)."""
    cdef Step step = Step()
    cdef Affine* c = <Affine*>step.new_context(sizeof(Affine))
    c.channels, c.inner = channels, inner
    step.c.run = run_affine
    step.c.rows = batched
    step.kernel = "affine_channels"
    return step
