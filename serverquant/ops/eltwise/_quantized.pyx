"""Native step of the product of Int8 tensors, engine DNNLOWP."""
from libc.stdint cimport int64_t, uint8_t

from serverquant.blobs._blob cimport SQ_OK, sq_step
from serverquant.kernels.affine._affine cimport mul_u8, sq_affine_job
from serverquant.ops.dnnlowp._quantized cimport QInput, Quantized, new_quantized
from serverquant.runtime._plan cimport Step


cdef struct Mul:
    Quantized base
    int64_t channels, inner     # how input 1 meets input 0: element i / inner % channels; 0 channels: one by one


cdef int mul(sq_step* s, const QInput* ins, uint8_t* y, float scale, int zero_point, void* scratch) noexcept nogil:
    cdef const Mul* c = <Mul*>s.ctx
    cdef sq_affine_job job
    cdef int64_t n = s.out[0].shape.size
    if n == 0:
        return SQ_OK
    job.a, job.b, job.y = ins[0].q, ins[1].q, y
    job.channels, job.inner = c.channels if c.channels else n, c.inner
    job.a_zero_point, job.b_zero_point = ins[0].zero_point, ins[1].zero_point
    job.multiplier = ins[0].scale * ins[1].scale / scale
    job.zero_point, job.lo, job.hi = zero_point, 0, (1 << c.base.params.precision) - 1
    mul_u8(&job, n)
    return SQ_OK


def mul_step(options, Step floats, int64_t channels, int64_t inner) -> Step:
    """C = A * B; B has `channels` elements (0: as many as A), each for `inner` neighbours of A."""
    cdef Step step = Step()
    cdef Mul* c = <Mul*>new_quantized(step, sizeof(Mul), options, floats, mul, 3)
    c.channels, c.inner = channels, inner
    step.kernel = "mul_u8"
    return step
