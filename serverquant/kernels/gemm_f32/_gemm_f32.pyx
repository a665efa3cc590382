"""fp32 matrix products, the same bytes on every instruction set and thread count.

`pack()` turns weights into a `PackedWeightF32` for the fastest row of the kernel table that the ISA level allows;
`gemm_f32` (cimport) or `gemm()` (arrays) runs. Contract and formula: gemm_f32.h. `kernels/conv_f32` uses the same
tiles.
"""
import numpy as np

from serverquant._base._isa cimport level
from serverquant._base._threads cimport parallel_range, team_size
from serverquant.kernels._bounds cimport read_bounds, sq_bounds

from serverquant._base import _isa
from serverquant._base.errors import ArgumentError, DTypeError, ShapeError
from serverquant.kernels.row import KernelRow

cdef extern from "../kernels/gemm_f32/gemm_f32.h" nogil:
    ctypedef struct sq_gemm_f32_job:
        const sq_packed_f32* packed
        int64_t group
        const float* a
        int64_t m, lda
        const float* bias
        const sq_bounds* bounds
        float* out
        int64_t ldc, team

    int sq_gemm_f32_rows()
    const sq_gemm_f32_row* sq_gemm_f32_row_at(int index)
    int64_t sq_f32_group_floats(const sq_packed_f32* packed)
    const float* sq_f32_panel(const sq_packed_f32* packed, int64_t group, int64_t panel)
    void sq_gemm_f32_pack(const sq_packed_f32* packed, const float* weights, float* data)
    void sq_gemm_f32_range(const void* job, long long begin, long long end)


def rows() -> list:
    """The kernel table, in order of preference; tile = (rows, columns)."""
    found = []
    for i in range(sq_gemm_f32_rows()):
        row = sq_gemm_f32_row_at(i)
        found.append(KernelRow.of("gemm_f32", row.name, row.isa, row.mr, row.nr))
    return found


cdef const sq_gemm_f32_row* choose_row(object name) except NULL:
    """The first row that the ISA level allows, or the one with that name."""
    cdef int i
    for i in range(sq_gemm_f32_rows()):
        row = sq_gemm_f32_row_at(i)
        if name is None and row.isa <= level():
            return row
        if name is not None and row.name.decode() == name:
            if _isa.NAMES[row.isa] not in _isa.supported():
                raise ArgumentError(f"this machine cannot run the row {name}")
            return row
    raise ArgumentError(f"no gemm_f32 row is called {name}; there are {', '.join(r.name for r in rows())}")


PACKED_AT_ONCE = 1 << 18    # floats


cdef class PackedWeightF32:
    """Weights of all groups, packed for one row of the kernel table; made by `pack()`, never changed after."""

    @property
    def groups(self) -> int:
        return self.raw.groups

    @property
    def n(self) -> int:
        """Output columns of a group."""
        return self.raw.n

    @property
    def k(self) -> int:
        """Products that are added for one output."""
        return self.raw.k

    @property
    def row(self) -> str:
        """The row of the kernel table."""
        return self.raw.row.name.decode()

    @property
    def isa(self) -> str:
        """The instruction set of the row."""
        return _isa.NAMES[self.raw.row.isa]

    @property
    def nbytes(self) -> int:
        """Bytes of the packed form."""
        return self._buffer.nbytes

    @property
    def values(self) -> np.ndarray:
        """All floats of the packed form, padding included, in the order in which they lie."""
        begin = (<size_t>self.raw.data - self._buffer.ctypes.data) // 4
        return self._buffer[begin:begin + self._buffer.size - 32]

    def __repr__(self) -> str:
        return f"PackedWeightF32({self.groups} x {self.n} x {self.k}, {self.row}, {self.nbytes} bytes)"


def pack(weights, groups: int = 1, row: str | None = None) -> PackedWeightF32:
    """Pack weights for the current ISA level.

    weights: float32 [groups * n, k], or k in several dims; row: name of a row of the kernel table instead of the best
    one. Weights that do not lie in order are copied a piece at a time.
    """
    if weights.dtype != np.float32:
        raise DTypeError(f"weights must be float32, not {weights.dtype}")
    if weights.ndim < 2 or groups < 1 or weights.shape[0] % groups:
        raise ShapeError(f"weights of shape {weights.shape} do not divide into {groups} groups of rows")
    cdef PackedWeightF32 packed = PackedWeightF32()
    packed.raw.row = choose_row(row)
    packed.raw.groups, packed.raw.n = groups, weights.shape[0] // groups
    packed.raw.k = int(np.prod(weights.shape[1:]))
    # One vector more: the last tile may read up to a whole vector.
    buffer = np.zeros(groups * sq_f32_group_floats(&packed.raw) + 32, np.float32)
    cdef float[::1] data = buffer[-buffer.ctypes.data % 64 // 4:]
    packed._buffer = buffer
    packed.raw.data = &data[0]
    cdef int64_t group, column, n = packed.raw.n, nr = packed.raw.row.nr
    cdef int64_t at_once = max(PACKED_AT_ONCE // max(packed.raw.k, 1) // nr, 1) * nr
    for group in range(groups if weights.size else 0):
        for column in range(0, n, at_once):
            _pack_columns(packed, weights[group * n + column:group * n + min(column + at_once, n)], group, column)
    return packed


cdef _pack_columns(PackedWeightF32 packed, weights, int64_t group, int64_t column):
    """Pack the rows of weights for columns `column`, a multiple of the panels' width, and on."""
    cdef const float[:, ::1] source = np.ascontiguousarray(weights).reshape(weights.shape[0], packed.raw.k)
    cdef sq_packed_f32 part = packed.raw
    cdef float* data = <float*>sq_f32_panel(&packed.raw, group, column // packed.raw.row.nr)
    part.groups, part.n, part.data = 1, source.shape[0], data
    with nogil:
        sq_gemm_f32_pack(&part, &source[0, 0], data)


def unpack(PackedWeightF32 packed, tuple shape, pack_again) -> np.ndarray:
    """The float32 weights of that shape that `pack_again` made `packed` of, bit for bit. Packing only moves floats, so
    packing the numbers 1, 2, 3, ... in their place shows where each has gone."""
    numbers = np.arange(1, int(np.prod(shape)) + 1, dtype=np.uint32)
    went = pack_again(numbers.view(np.float32).reshape(shape)).values.view(np.uint32)
    taken = np.flatnonzero(went)
    weights = np.empty(numbers.size, np.float32)
    weights[went[taken] - 1] = packed.values[taken]
    return weights.reshape(shape)


cdef void gemm_f32(const sq_packed_f32* packed, int64_t group, const float* a, int64_t m, int64_t lda,
                   const float* bias, const sq_bounds* bounds, float* out, int64_t ldc, int team) noexcept nogil:
    cdef sq_gemm_f32_job job
    job.packed, job.group, job.a, job.m, job.lda = packed, group, a, m, lda
    job.bias, job.bounds, job.out, job.ldc, job.team = bias, bounds, out, ldc, team
    parallel_range(sq_gemm_f32_range, &job, team, 1, team)


def gemm(a, PackedWeightF32 packed, bias=None, group: int = 0, bounds: tuple | None = None) -> np.ndarray:
    """a [m, k] x group `group` of the packed weights, + bias [n] or None, within the bounds (lo, hi): float32 [m, n]."""
    if a.dtype != np.float32 or (bias is not None and bias.dtype != np.float32):
        raise DTypeError("the matrix and the bias must be float32")
    if a.ndim != 2 or a.shape[1] != packed.raw.k or (bias is not None and bias.shape != (packed.raw.n,)):
        raise ShapeError(f"a {a.shape} and bias {None if bias is None else bias.shape} do not fit {packed}")
    if not 0 <= group < packed.raw.groups:
        raise ArgumentError(f"there is no group {group} in {packed}")
    out = np.empty((a.shape[0], packed.raw.n), np.float32)
    if not out.size:
        return out
    # Room for an address where there is nothing to read.
    cdef const float[::1] a_view = np.ascontiguousarray(a).ravel() if a.size else np.zeros(1, np.float32)
    cdef const float[::1] bias_view = None if bias is None else np.ascontiguousarray(bias)
    cdef float[:, ::1] out_view = out
    cdef const float* bias_at = NULL
    if bias is not None:
        bias_at = &bias_view[0]
    cdef int64_t m = a.shape[0], which = group
    cdef sq_bounds within = read_bounds(bounds)
    with nogil:
        gemm_f32(&packed.raw, which, &a_view[0], m, packed.raw.k, bias_at, &within, &out_view[0, 0], packed.raw.n,
                 team_size(m * packed.raw.n * packed.raw.k))
    return out
