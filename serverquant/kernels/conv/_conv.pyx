"""int8 convolution of channels-last images in 1, 2 or 3 spatial dimensions, on the tiles of gemm and dwconv.

A 1x1 convolution with stride 1 is a matrix product of the image as it lies. Others point at each tap's channels (rows
of the product are lists of pointers, padding points at a row of zero points), or, where a tap has few channels, gather
the taps of a block of pixels first. `pack_conv()` decides, `Geometry` describes, `conv_u8` (cimport) or `conv` runs.
"""
import numpy as np
from libc.string cimport memset

from serverquant.kernels.dwconv._dwconv cimport dwconv_flat, dwconv_job, flat_scratch, sq_dw_flat_job, sq_dw_scratch
from serverquant.kernels.gemm._gemm cimport (
    Epilogue, gemm_job, gemm_team, gemm_u8, sq_gemm_job, sq_job_scratch, sq_source
)

from serverquant._base import _threads
from serverquant._base.errors import ShapeError
from serverquant.kernels.dwconv._dwconv import pack_depthwise
from serverquant.kernels.gemm._gemm import aligned, pack

cdef extern from "../kernels/conv/conv.h" nogil:
    ctypedef struct sq_conv_source:
        sq_source base

    int64_t sq_conv_taps(const sq_conv_geometry* g)
    int64_t sq_conv_pixels(const sq_conv_geometry* g)
    bint sq_conv_is_plain(const sq_conv_geometry* g)
    void sq_conv_source_init(sq_conv_source* source, const sq_conv_geometry* geometry, const sq_packed* weight,
                             const uint8_t* x, const uint8_t* padding)


def rows() -> list:
    """No rows of its own: the tables of gemm and dwconv hold what convolutions run on."""
    return []


def _three(values, name: str, default: int) -> list:
    """Up to three values, with `default` for the leading dimensions that are not there."""
    values = [int(v) for v in values]
    if not 1 <= len(values) <= 3:
        raise ShapeError(f"{name} has {len(values)} spatial dimensions; 1 to 3 are possible")
    if max(values) >= 2**30:
        raise ShapeError(f"{name} {values} is too large")
    return [default] * (3 - len(values)) + values


cdef class Geometry:
    """Sizes of one convolution.

    size, kernel, stride, dilation: one entry for each of 1 to 3 spatial dimensions. pads: all begins, then all ends.
    """

    def __init__(self, size, kernel, stride, pads, dilation, int in_channels, int out_channels, int groups=1,
                 batch: int = 1):
        dims = len(size)
        if not len(kernel) == len(stride) == len(dilation) == dims or len(pads) != 2 * dims:
            raise ShapeError(f"size {size}, kernel {kernel}, stride {stride}, dilation {dilation} and pads {pads} "
                             f"disagree on the number of dimensions")
        if groups < 1 or in_channels < 1 or out_channels < 1 or in_channels % groups or out_channels % groups:
            raise ShapeError(f"{in_channels} input and {out_channels} output channels do not divide into {groups} "
                             f"groups")
        if min(kernel) < 1 or min(stride) < 1 or min(dilation) < 1 or min(pads) < 0 or min(size) < 0 or batch < 0:
            raise ShapeError(f"kernel {kernel}, stride {stride} and dilation {dilation} must be at least 1, "
                             f"pads {pads} and size {size} at least 0")
        ends = _three(pads[dims:], "pads", 0)
        self.raw.in_ = _three(size, "size", 1)
        self.raw.kernel = _three(kernel, "kernel", 1)
        self.raw.stride = _three(stride, "stride", 1)
        self.raw.dilation = _three(dilation, "dilation", 1)
        self.raw.pad = _three(pads[:dims], "pads", 0)
        self.raw.groups, self.raw.in_channels, self.raw.out_channels = groups, in_channels, out_channels
        self.raw.batch = batch
        for i in range(3):
            window = (self.raw.kernel[i] - 1) * <int64_t>self.raw.dilation[i] + 1
            room = self.raw.in_[i] + self.raw.pad[i] + ends[i] - window
            if room < 0:
                raise ShapeError(f"a kernel of {tuple(kernel)} with dilation {tuple(dilation)} is larger than the "
                                 f"input {tuple(size)} with pads {tuple(pads)}")
            self.raw.out[i] = room // self.raw.stride[i] + 1
        self.spatial = tuple(self.raw.out[i] for i in range(3 - dims, 3))

    @property
    def macs(self) -> int:
        """Multiply-adds of one run."""
        return sq_conv_pixels(&self.raw) * self.raw.out_channels * sq_conv_taps(&self.raw) * (
            self.raw.in_channels // self.raw.groups)


def pack_conv(weights, groups: int = 1, zero_point=0, row: str | None = None) -> PackedWeight:
    """Pack int8 weights [out_channels, kernel..., in_channels / groups] (channels last).

    zero_point: -128..255, one or one per output channel. row: of the gemm or dwconv table, instead of the best one.
    One input and one output channel a group is depthwise, unless the row belongs to gemm.
    """
    weights = np.asarray(weights)
    if weights.ndim < 3 or 0 in weights.shape:
        raise ShapeError(f"weights must be [out_channels, kernel..., in_channels / groups], not {weights.shape}")
    taps = int(np.prod(weights.shape[1:weights.ndim - 1]))
    depthwise = groups == weights.shape[0] and weights.shape[weights.ndim - 1] == 1 and groups * taps > 1
    if depthwise and (row is None or row.startswith("sq_dwconv")):
        return pack_depthwise(weights.reshape(groups, taps), zero_point, row)
    return pack(weights.reshape(weights.shape[0], -1), groups, taps, zero_point, row)


cdef int64_t conv_scratch_bytes(const sq_conv_geometry* geometry, const sq_packed* packed, int threads) noexcept nogil:
    if packed.depthwise and flat_scratch(geometry, packed):
        return threads * flat_scratch(geometry, packed)
    if packed.depthwise:
        return _padding_bytes(geometry) + threads * sq_dw_scratch(packed)
    if sq_conv_is_plain(geometry):
        return 0
    return _padding_bytes(geometry) + threads * sq_job_scratch(packed, packed.taps != sq_conv_taps(geometry))


cdef int64_t _padding_bytes(const sq_conv_geometry* geometry) noexcept nogil:
    return (geometry.in_channels + 127) // 64 * 64


cdef int conv_u8(const sq_conv_geometry* geometry, const sq_packed* packed, const sq_epilogue* ep, int x_zero_point,
                 const uint8_t* x, void* y, uint8_t* scratch, int threads) noexcept nogil:
    cdef sq_conv_source source
    cdef sq_gemm_job job
    cdef sq_dw_flat_job flat
    cdef int64_t pixels = sq_conv_pixels(geometry)
    if sq_conv_is_plain(geometry) and not packed.depthwise:
        return gemm_u8(x, pixels, geometry.in_channels, packed, ep, y, geometry.out_channels)
    if packed.depthwise and flat_scratch(geometry, packed):
        flat.geometry, flat.packed, flat.ep, flat.x_zero_point = geometry, packed, ep, x_zero_point
        flat.x, flat.y, flat.scratch = x, y, scratch
        return dwconv_flat(&flat, threads)
    memset(scratch, x_zero_point, geometry.in_channels)
    sq_conv_source_init(&source, geometry, packed, x, scratch)
    job.packed, job.ep, job.source, job.c = packed, ep, &source.base, y
    job.m, job.ldc = pixels, geometry.out_channels
    if packed.depthwise:
        return dwconv_job(&job, scratch + _padding_bytes(geometry), threads)
    return gemm_job(&job, scratch + _padding_bytes(geometry), threads, gemm_team(packed, pixels))


def scratch(Geometry geometry, PackedWeight packed) -> np.ndarray:
    """Working memory for `conv` at the current number of threads: uint8, zeros."""
    return aligned(conv_scratch_bytes(&geometry.raw, &packed.raw, _threads.get_num_threads()) + 64)


def conv(x, Geometry geometry, PackedWeight packed, Epilogue epilogue, int x_zero_point=0, out=None,
         work=None) -> np.ndarray:
    """For tests and benchmarks: uint8 x [batch, size..., in_channels] -> [batch, out size..., out_channels].

    out and work (from `scratch()`) are made anew unless given.
    """
    shape = (geometry.raw.batch, *list(geometry.raw.in_)[3 - len(geometry.spatial):], geometry.raw.in_channels)
    if x.shape != shape or x.dtype != np.uint8 or not x.flags.c_contiguous:
        raise ShapeError(f"x must be uint8 {shape} in C order, not {x.dtype} {x.shape}")
    if packed.shape != (geometry.raw.out_channels,
                        sq_conv_taps(&geometry.raw) * geometry.raw.in_channels // geometry.raw.groups):
        raise ShapeError(f"weights {packed.shape} do not fit the geometry")
    threads = _threads.get_num_threads()
    y = np.empty((shape[0], *geometry.spatial, geometry.raw.out_channels), epilogue.dtype) if out is None else out
    work = scratch(geometry, packed) if work is None else work
    if y.size:
        _run(geometry, packed, epilogue, x_zero_point, x.ctypes.data, y.ctypes.data, work.ctypes.data, threads)
    return y


cdef _run(Geometry geometry, PackedWeight packed, Epilogue epilogue, int x_zero_point, size_t x, size_t y,
          size_t scratch, int threads):
    with nogil:
        conv_u8(&geometry.raw, &packed.raw, &epilogue.raw, x_zero_point, <const uint8_t*>x, <void*>y,
                <uint8_t*>scratch, threads)
