"""fp32 convolutions, the same bytes in NCHW and NHWC, on every instruction set and thread count.

A `ConvF32` is the plan of one: geometry, kernel rows and form, no values. `ConvF32.pack()` makes its weights,
`conv_f32` (cimport) or `conv()` (arrays) runs it. Formula and forms: conv_f32.h.
"""
import numpy as np

from serverquant._base._isa cimport level
from serverquant._base._threads cimport parallel_range, range_fn, team_size
from serverquant.kernels._bounds cimport read_bounds, sq_bounds
from serverquant.kernels._window cimport Window, sq_volume
from serverquant.kernels.gemm_f32._gemm_f32 cimport choose_row

from serverquant._base import _isa
from serverquant._base.errors import ArgumentError, DTypeError, ShapeError
from serverquant.kernels.gemm_f32 import _gemm_f32
from serverquant.kernels.row import KernelRow

cdef extern from "../kernels/conv_f32/conv_f32.h" nogil:
    int64_t sq_conv_f32_scratch(const sq_conv_f32* conv, int64_t team)

    ctypedef struct sq_conv_f32_job:
        const sq_conv_f32* conv
        const sq_packed_f32* packed
        const float* bias
        const sq_bounds* bounds
        const float* x
        float* y
        char* scratch
        int64_t team

    int sq_depthwise_f32_rows()
    const sq_depthwise_f32_row* sq_depthwise_f32_row_at(int index)
    int64_t sq_conv_f32_k(const sq_conv_f32* conv)
    int32_t sq_conv_f32_choose_form(const sq_conv_f32* conv)
    void sq_conv_f32_prepare(const sq_conv_f32_job* job)
    range_fn sq_conv_f32_first_step(const sq_conv_f32* conv)
    range_fn sq_conv_f32_main_step(const sq_conv_f32* conv)

FORMS = ("pixels", "channels", "depthwise", "planes")


def rows() -> list:
    """The depthwise kernel table, in order of preference; tile = (lanes,). The other forms use gemm_f32's rows."""
    found = []
    for i in range(sq_depthwise_f32_rows()):
        row = sq_depthwise_f32_row_at(i)
        found.append(KernelRow.of("conv_f32", row.name, row.isa, row.lanes))
    return found


cdef const sq_depthwise_f32_row* _depthwise_row(int isa) except NULL:
    """The first depthwise row that the level `isa` allows."""
    cdef int i
    for i in range(sq_depthwise_f32_rows()):
        if sq_depthwise_f32_row_at(i).isa <= isa:
            return sq_depthwise_f32_row_at(i)
    raise ArgumentError(f"no depthwise row for the level {isa}")


cdef class ConvF32:
    """The plan of one convolution. window: its spatial geometry; order: "NCHW" or "NHWC".

    form: "pixels", "channels", "depthwise" or "planes" instead of the one that should be fastest; isa: a lower level
    than the one in use. Neither changes a bit of the result.
    """

    def __init__(self, Window window, int64_t batch, int64_t channels, int64_t out_channels, int64_t groups=1,
                 order="NCHW", form=None, isa=None):
        if order not in ("NCHW", "NHWC"):
            raise ArgumentError(f"order must be NCHW or NHWC, not {order!r}")
        if groups < 1 or channels < 1 or out_channels < 1 or channels % groups or out_channels % groups:
            raise ShapeError(f"{channels} input and {out_channels} output channels do not divide into {groups} groups")
        if batch < 0:
            raise ShapeError(f"the batch size must not be negative, but is {batch}")
        cdef int use = level() if isa is None else _isa.NAMES.index(isa)
        self.window = window
        self.raw.window = window.raw
        self.raw.batch, self.raw.groups = batch, groups
        self.raw.channels, self.raw.out_channels = channels, out_channels
        self.raw.nhwc = order == "NHWC"
        self.raw.row = choose_row(next(r.name for r in _gemm_f32.rows() if _isa.NAMES.index(r.isa) <= use))
        self.raw.depthwise = _depthwise_row(use)
        self.raw.form = sq_conv_f32_choose_form(&self.raw)
        if form is not None:
            self._take_form(form)

    def _take_form(self, form):
        one_each = not self.raw.nhwc or self.raw.out_channels == self.raw.channels
        fits = {"pixels": not self.raw.nhwc, "channels": True,
                "depthwise": self.raw.channels == self.raw.groups and one_each, "planes": self.raw.groups == 1}
        if not fits.get(form, False):
            raise ArgumentError(f"this convolution cannot take the form {form!r}")
        self.raw.form = FORMS.index(form)

    @property
    def form(self) -> str:
        """What the lanes of a vector are; `pack()` depends on it."""
        return FORMS[self.raw.form]

    @property
    def kernel(self) -> str:
        """The row of the kernel table that does the sums."""
        flat = self.raw.form in (SQ_CONV_F32_DEPTHWISE, SQ_CONV_F32_PLANES)
        return (self.raw.depthwise.name if flat else self.raw.row.name).decode()

    @property
    def packing(self) -> tuple:
        """Equal for two plans if and only if weights packed for one serve the other."""
        return "conv_f32", self.form, bool(self.raw.nhwc), self.raw.groups, self.raw.row.name.decode()

    @property
    def x_shape(self) -> tuple:
        return self._shape(self.raw.channels, self.window.in_sizes)

    @property
    def y_shape(self) -> tuple:
        return self._shape(self.raw.out_channels, self.window.out_sizes)

    def _shape(self, channels, sizes):
        return (self.raw.batch, *sizes, channels) if self.raw.nhwc else (self.raw.batch, channels, *sizes)

    def scratch_bytes(self, team: int) -> int:
        """Scratch that a run by `team` threads needs; it must be aligned to 64 bytes."""
        return sq_conv_f32_scratch(&self.raw, team)

    def pack(self, weights) -> PackedWeightF32:
        """Weights for this plan: float32 [out_channels, channels / groups, *kernel] (NCHW) or
        [out_channels, *kernel, channels / groups] (NHWC)."""
        if weights.dtype != np.float32:
            raise DTypeError(f"weights must be float32, not {weights.dtype}")
        per_group, dims = self.raw.channels // self.raw.groups, len(self.window.in_sizes)
        kernel = tuple(self.raw.window.kernel[a] for a in range(3 - dims, 3))
        want = (self.raw.out_channels, *((*kernel, per_group) if self.raw.nhwc else (per_group, *kernel)))
        if weights.shape != want:
            raise ShapeError(f"weights have shape {weights.shape}, not {want}")
        # [out_channels][k], the channels of a tap side by side
        moved = weights if self.raw.nhwc else np.moveaxis(weights, 1, -1)
        if self.raw.form == SQ_CONV_F32_CHANNELS:
            return _gemm_f32.pack(moved, self.raw.groups, self.raw.row.name.decode())
        flat = np.ascontiguousarray(moved).reshape(self.raw.out_channels, -1)
        return self._plain(flat.T if self.raw.form == SQ_CONV_F32_DEPTHWISE and self.raw.nhwc else flat)

    cdef PackedWeightF32 _plain(self, flat):
        """Weights that need no panels, behind the same type."""
        cdef PackedWeightF32 packed = PackedWeightF32()
        buffer = np.zeros(flat.size + 32, np.float32)
        begin = -buffer.ctypes.data % 64 // 4
        buffer[begin:begin + flat.size] = flat.ravel()
        cdef float[::1] data = buffer[begin:]
        packed._buffer = buffer
        packed.raw.data = &data[0]
        packed.raw.row = self.raw.row
        packed.raw.groups, packed.raw.n = self.raw.groups, self.raw.out_channels // self.raw.groups
        packed.raw.k = sq_conv_f32_k(&self.raw)
        return packed

    def __repr__(self) -> str:
        return f"ConvF32({self.x_shape} -> {self.y_shape}, {self.raw.groups} groups, {self.form}, {self.kernel})"


cdef int64_t conv_f32_scratch(const sq_conv_f32* conv, int64_t team) noexcept nogil:
    return sq_conv_f32_scratch(conv, team)


cdef int64_t conv_f32_work(const sq_conv_f32* conv) noexcept nogil:
    return conv.batch * conv.out_channels * sq_volume(conv.window.out) * sq_conv_f32_k(conv)


cdef void conv_f32(const sq_conv_f32* conv, const sq_packed_f32* packed, const float* x, const float* bias,
                   const sq_bounds* bounds, float* y, void* scratch, int team) noexcept nogil:
    cdef sq_conv_f32_job job
    job.conv, job.packed, job.bias, job.bounds = conv, packed, bias, bounds
    job.x, job.y, job.scratch, job.team = x, y, <char*>scratch, team
    cdef range_fn first = sq_conv_f32_first_step(conv)
    sq_conv_f32_prepare(&job)
    if first != NULL:
        parallel_range(first, &job, team, 1, team)
    parallel_range(sq_conv_f32_main_step(conv), &job, team, 1, team)


def padded(array) -> np.ndarray:
    """A float32 copy, flat, aligned to 64 bytes, with as many readable behind it."""
    buffer = np.zeros(array.size + 48, np.float32)
    begin = -buffer.ctypes.data % 64 // 4
    buffer[begin:begin + array.size] = array.ravel()
    return buffer[begin:]


def conv(ConvF32 plan, x, PackedWeightF32 weights, bias=None, bounds: tuple | None = None) -> np.ndarray:
    """Run a plan on arrays: x float32 of plan.x_shape, bias float32 [out_channels] or None,
    bounds (lo, hi) of the result or None; returns plan.y_shape."""
    if x.dtype != np.float32 or (bias is not None and bias.dtype != np.float32):
        raise DTypeError("input and bias of a convolution must be float32")
    if x.shape != plan.x_shape or (bias is not None and bias.shape != (plan.raw.out_channels,)):
        raise ShapeError(f"x {x.shape} and bias {None if bias is None else bias.shape} do not fit {plan}")
    out = np.empty(plan.y_shape, np.float32)
    if not out.size:
        return out
    cdef int team = team_size(conv_f32_work(&plan.raw))
    cdef const float[::1] x_view = padded(x)
    cdef const float[::1] bias_view = None if bias is None else padded(bias)
    cdef float[::1] scratch = padded(np.empty(plan.scratch_bytes(team) // 4 + 16, np.float32))
    cdef float[::1] y_view = out.ravel()
    cdef const float* bias_at = NULL
    cdef sq_bounds within = read_bounds(bounds)
    if bias is not None:
        bias_at = &bias_view[0]
    with nogil:
        conv_f32(&plan.raw, &weights.raw, &x_view[0], bias_at, &within, &y_view[0], &scratch[0], team)
    return out
