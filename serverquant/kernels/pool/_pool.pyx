"""Max and average pools in one to three dimensions, float and uint8, NCHW and NHWC.

A `Pool` is the plan of one: geometry and kernel row, no values. The `cdef` functions run it on buffers, `max_pool()`,
`average_pool()` and `average_pool_mobile()` on arrays. Formulas: pool.h.
"""
import numpy as np

from serverquant._base._isa cimport level
from serverquant._base._threads cimport parallel_range, team_size
from serverquant.kernels._window cimport Window, sq_volume

from serverquant._base import _isa
from serverquant._base.errors import ArgumentError, DTypeError, QuantizationError, ShapeError
from serverquant.kernels.row import KernelRow

cdef extern from "../kernels/pool/pool.h" nogil:
    enum:
        SQ_MAX_F32, SQ_AVERAGE_F32, SQ_MAX_U8, SQ_AVERAGE_U8, SQ_AVERAGE_MOBILE_U8

    ctypedef struct sq_pool_job:
        const sq_pool* pool
        int32_t kind, include_pad, low, x_zero, y_zero
        float ratio
        int32_t multiplier, shift
        const void* x
        void* y
        char* scratch
        int64_t team

    int64_t sq_pool_scratch(const sq_pool* pool, int64_t team)
    int sq_pool_rows()
    const sq_pool_row* sq_pool_row_at(int index)
    void sq_pool_range(const void* job, long long begin, long long end)


def rows() -> list:
    """The kernel table, in order of preference; tile = (floats, bytes) of a vector."""
    found = []
    for i in range(sq_pool_rows()):
        row = sq_pool_row_at(i)
        found.append(KernelRow.of("pool", row.name, row.isa, row.lanes, row.byte_lanes))
    return found


cdef void _drop_points(sq_window* w) noexcept:
    """Where an axis has one element, only the tap that meets it counts. An image one pixel wide becomes a line."""
    cdef int a
    for a in range(3):
        if w.in_[a] == 1 and w.out[a] == 1 and w.pad[a] < w.kernel[a]:
            w.kernel[a] = w.stride[a] = 1
            w.pad[a] = 0
    if w.in_[2] != 1 or w.out[2] != 1 or w.kernel[2] != 1 or w.pad[2] != 0:
        return
    for a in range(2, 0, -1):
        w.in_[a], w.out[a], w.kernel[a] = w.in_[a - 1], w.out[a - 1], w.kernel[a - 1]
        w.stride[a], w.pad[a] = w.stride[a - 1], w.pad[a - 1]
    w.in_[0] = w.out[0] = w.kernel[0] = w.stride[0] = 1
    w.pad[0] = 0


cdef class Pool:
    """The plan of one pool. window: its spatial geometry, without dilation; order: "NCHW" or "NHWC".

    isa: a lower level than the one in use; it changes no bit of the result.
    """

    def __init__(self, Window window, int64_t batch, int64_t channels, order="NCHW", isa=None):
        cdef int a, i, use = level() if isa is None else _isa.NAMES.index(isa)
        if order not in ("NCHW", "NHWC"):
            raise ArgumentError(f"order must be NCHW or NHWC, not {order!r}")
        if batch < 0 or channels < 0:
            raise ShapeError(f"a pool of {batch} images with {channels} channels")
        for a in range(3):
            if window.raw.dilation[a] != 1:
                raise ArgumentError("pools take no dilation")
        self.window = window
        self.raw.window = window.raw
        self.raw.whole = sq_volume(window.raw.kernel)
        _drop_points(&self.raw.window)
        self.raw.batch, self.raw.channels, self.raw.nhwc = batch, channels, order == "NHWC"
        for i in range(sq_pool_rows()):
            self.raw.row = sq_pool_row_at(i)
            if self.raw.row.isa <= use:
                break

    @property
    def kernel(self) -> str:
        """The row of the kernel table."""
        return self.raw.row.name.decode()

    @property
    def x_shape(self) -> tuple:
        return self._shape(self.window.in_sizes)

    @property
    def y_shape(self) -> tuple:
        return self._shape(self.window.out_sizes)

    def _shape(self, sizes):
        channels = self.raw.channels
        return (self.raw.batch, *sizes, channels) if self.raw.nhwc else (self.raw.batch, channels, *sizes)

    def scratch_bytes(self, team: int) -> int:
        """Scratch that a run by `team` threads needs; it must be aligned to 64 bytes."""
        return sq_pool_scratch(&self.raw, team)

    def __repr__(self) -> str:
        return f"Pool({self.x_shape} -> {self.y_shape}, {self.kernel})"


def mobile_factors(x_scale: float, y_scale: float, count: int) -> tuple:
    """(multiplier, shift) of the mobile average of `count` elements: f32(x_scale / f32(y_scale * count)) split."""
    with np.errstate(all="ignore"):
        ratio = np.float32(x_scale) / np.float32(np.float32(y_scale) * np.float32(count))
    if not 2.0**-34 <= ratio < 2.0**24:
        raise QuantizationError(f"an average of {count} elements from scale {x_scale} to scale {y_scale} has the "
                                f"factor {ratio}; it must be from 2^-34 to below 2^24")
    bits = int(ratio.view(np.uint32))
    return bits & 0x7FFFFF | 0x800000, 150 - (bits >> 23)


cdef int64_t pool_scratch(const sq_pool* pool, int64_t team) noexcept nogil:
    return sq_pool_scratch(pool, team)


cdef int64_t pool_work(const sq_pool* pool) noexcept nogil:
    return pool.batch * pool.channels * sq_volume(pool.window.out) * sq_volume(pool.window.kernel)


cdef inline void _run(sq_pool_job* job, const sq_pool* pool, int32_t kind, const void* x, void* y, void* scratch,
                      int team) noexcept nogil:
    job.pool, job.kind, job.x, job.y, job.scratch, job.team = pool, kind, x, y, <char*>scratch, team
    parallel_range(sq_pool_range, job, team, 1, team)


cdef void max_pool_f32(const sq_pool* pool, const float* x, float* y, void* scratch, int team) noexcept nogil:
    cdef sq_pool_job job
    _run(&job, pool, SQ_MAX_F32, x, y, scratch, team)


cdef void average_pool_f32(const sq_pool* pool, bint include_pad, const float* x, float* y, void* scratch,
                           int team) noexcept nogil:
    cdef sq_pool_job job
    job.include_pad, job.x_zero, job.ratio = include_pad, 0, 0
    _run(&job, pool, SQ_AVERAGE_F32, x, y, scratch, team)


cdef void max_pool_u8(const sq_pool* pool, int32_t low, const uint8_t* x, uint8_t* y, void* scratch,
                      int team) noexcept nogil:
    cdef sq_pool_job job
    job.low = low
    _run(&job, pool, SQ_MAX_U8, x, y, scratch, team)


cdef void average_pool_u8(const sq_pool* pool, int32_t x_zero, float ratio, int32_t y_zero, int32_t low,
                          const uint8_t* x, uint8_t* y, void* scratch, int team) noexcept nogil:
    cdef sq_pool_job job
    job.x_zero, job.ratio, job.y_zero, job.low = x_zero, ratio, y_zero, low
    _run(&job, pool, SQ_AVERAGE_U8, x, y, scratch, team)


cdef void average_pool_mobile_u8(const sq_pool* pool, int32_t x_zero, int32_t multiplier, int32_t shift,
                                 int32_t y_zero, int32_t low, const uint8_t* x, uint8_t* y, void* scratch,
                                 int team) noexcept nogil:
    cdef sq_pool_job job
    job.x_zero, job.ratio, job.y_zero, job.low, job.multiplier, job.shift = x_zero, 0, y_zero, low, multiplier, shift
    _run(&job, pool, SQ_AVERAGE_MOBILE_U8, x, y, scratch, team)


def _buffer(nbytes: int) -> np.ndarray:
    """uint8, zeros, aligned to 64 bytes, with 64 more readable behind the end."""
    buffer = np.zeros(nbytes + 128, np.uint8)
    return buffer[-buffer.ctypes.data % 64:]


def _input(Pool plan, x):
    """The bytes of x with room behind them."""
    if x.dtype not in (np.float32, np.uint8):
        raise DTypeError(f"pools take float32 or uint8, not {x.dtype}")
    if x.shape != plan.x_shape:
        raise ShapeError(f"x has shape {x.shape}, but the pool is {plan}")
    held = _buffer(x.nbytes)
    held[:x.nbytes] = np.ascontiguousarray(x).view(np.uint8).ravel()
    return held


def max_pool(Pool plan, x, low: int = 0) -> np.ndarray:
    """Max pool of an array of plan.x_shape, float32 or uint8; `low`: smallest uint8 that comes out."""
    cdef const uint8_t[::1] x_view = _input(plan, x)
    y = np.empty(plan.y_shape, x.dtype)
    cdef uint8_t[::1] y_view = y.ravel().view(np.uint8) if y.size else np.zeros(1, np.uint8)
    cdef int team = team_size(pool_work(&plan.raw))
    cdef uint8_t[::1] scratch = _buffer(plan.scratch_bytes(team))
    cdef int32_t least = low
    cdef bint floats = x.dtype == np.float32
    if y.size:
        with nogil:
            if floats:
                max_pool_f32(&plan.raw, <const float*>&x_view[0], <float*>&y_view[0], &scratch[0], team)
            else:
                max_pool_u8(&plan.raw, least, &x_view[0], &y_view[0], &scratch[0], team)
    return y


def average_pool(Pool plan, x, include_pad: bool = False, x_zero: int = 0, ratio: float = 1.0, y_zero: int = 0,
                 low: int = 0) -> np.ndarray:
    """Average pool of an array of plan.x_shape: float32 (include_pad), or uint8 by the server's formula (the rest)."""
    cdef const uint8_t[::1] x_view = _input(plan, x)
    y = np.empty(plan.y_shape, x.dtype)
    cdef uint8_t[::1] y_view = y.ravel().view(np.uint8) if y.size else np.zeros(1, np.uint8)
    cdef int team = team_size(pool_work(&plan.raw))
    cdef uint8_t[::1] scratch = _buffer(plan.scratch_bytes(team))
    cdef int32_t from_zero = x_zero, to_zero = y_zero, least = low
    cdef float factor = ratio
    cdef bint floats = x.dtype == np.float32, whole = include_pad
    if y.size:
        with nogil:
            if floats:
                average_pool_f32(&plan.raw, whole, <const float*>&x_view[0], <float*>&y_view[0], &scratch[0], team)
            else:
                average_pool_u8(&plan.raw, from_zero, factor, to_zero, least, &x_view[0], &y_view[0], &scratch[0], team)
    return y


def average_pool_mobile(Pool plan, x, x_scale: float, x_zero: int, y_scale: float, y_zero: int,
                        low: int = 0) -> np.ndarray:
    """Average pool of a uint8 array of plan.x_shape by the mobile formula, which always divides by the full kernel."""
    cdef const uint8_t[::1] x_view = _input(plan, x)
    y = np.empty(plan.y_shape, np.uint8)
    cdef uint8_t[::1] y_view = y.ravel() if y.size else np.zeros(1, np.uint8)
    cdef int team = team_size(pool_work(&plan.raw))
    cdef uint8_t[::1] scratch = _buffer(plan.scratch_bytes(team))
    cdef int32_t multiplier, shift, from_zero = x_zero, to_zero = y_zero, least = low
    multiplier, shift = mobile_factors(x_scale, y_scale, plan.raw.whole)
    if y.size:
        with nogil:
            average_pool_mobile_u8(&plan.raw, from_zero, multiplier, shift, to_zero, least, &x_view[0], &y_view[0],
                                   &scratch[0], team)
    return y
