"""Float images, channels first, to bytes, channels last: some pixels at a time, whose bytes stay in the first cache.

No rows of its own: those of quantize and transpose.
"""
cimport cython
from libc.stdint cimport int64_t, uint8_t

from serverquant._base._threads cimport parallel_range, range_fn, team_size
from serverquant.kernels.quantize._quantize cimport quantize_u8_job, sq_quantize_job
from serverquant.kernels.transpose._transpose cimport transpose_here

cdef enum:
    ROOM = 16 * 1024        # bytes of a block
    STEP = 64               # pixels of a block are a multiple, where there is room for so many


cdef struct Turned:
    const float* x
    uint8_t* y
    int64_t channels, pixels, block     # block: pixels that are taken at once
    sq_quantize_job rule
    range_fn quantize


cdef void _run_blocks(const void* what, long long begin, long long end) noexcept nogil:
    """Blocks of pixels, counted through the batch."""
    cdef const Turned* t = <const Turned*>what
    cdef int64_t blocks = (t.pixels + t.block - 1) // t.block
    cdef int64_t i, image, first, n, c
    cdef sq_quantize_job job = t.rule
    cdef uint8_t[ROOM] planes
    for i in range(begin, end):
        image, first = i // blocks * t.channels * t.pixels, i % blocks * t.block
        n = min(t.block, t.pixels - first)
        for c in range(t.channels):
            job.x = t.x + image + c * t.pixels + first
            job.y = t.y + image + first * t.channels + c if n == 1 else planes + c * n
            t.quantize(&job, 0, n)
        if n > 1:
            transpose_here(planes, t.y + image + first * t.channels, t.channels, n)


cdef void quantize_turned(const float* x, uint8_t* y, int64_t batch, int64_t channels, int64_t pixels, float scale,
                          int zero_point, int bits) noexcept nogil:
    cdef Turned t
    if batch * channels * pixels == 0:
        return
    t.x, t.y, t.channels, t.pixels = x, y, channels, pixels
    t.block = max(1, ROOM // channels)
    t.block = t.block // STEP * STEP if t.block >= STEP else t.block
    t.quantize = quantize_u8_job(&t.rule, scale, zero_point, bits)
    parallel_range(_run_blocks, &t, batch * ((pixels + t.block - 1) // t.block), 1, team_size(batch * channels * pixels))


def rows() -> list:
    """None of its own."""
    return []


@cython.boundscheck(False)
def py_quantize_turned(const float[:, :, ::1] x, uint8_t[:, :, ::1] y, float scale, int zero_point, int bits) -> None:
    """x: (batch, channels, pixels); y: (batch, pixels, channels)."""
    quantize_turned(&x[0, 0, 0], &y[0, 0, 0], x.shape[0], x.shape[1], x.shape[2], scale, zero_point, bits)
