"""int8 matrix products: u8 activations x s8 weights, exact int32 sums, requantized while they are in registers.

`pack()` turns weights into a `PackedWeight` for the fastest row of the kernel table that the ISA level allows;
`fold()` makes the one row that changes with the input's zero point; `gemm_u8` (cimport) or `gemm` (arrays) runs.
Contract, layouts and formulas: gemm.h. Convolutions build on the same tiles: `kernels/conv`.
"""
import numpy as np

from serverquant._base._threads cimport parallel_range, team_size

from serverquant._base import _isa
from serverquant._base.errors import ArgumentError, DTypeError, QuantizationError, ShapeError
from serverquant.kernels.row import KernelRow, choose_row

cdef extern from "../kernels/gemm/gemm.h" nogil:
    ctypedef struct sq_gemm_row:
        const char* name
        int32_t isa, mr, nr, lanes, kr, accumulators, narrow

    int sq_gemm_rows()
    const sq_gemm_row* sq_gemm_row_at(int index)
    int sq_gemm_row_for(int first, int32_t n, int64_t k)
    int sq_pack_sizes(const sq_gemm_row* row, const int8_t* weights, int32_t groups, int32_t n, int32_t taps,
                      int32_t kc, int64_t* sizes)
    void sq_pack(const sq_gemm_row* row, const int8_t* weights, sq_packed* packed, int8_t* data, sq_extra* extras,
                 int32_t* extra_begin, int8_t* extra_data)
    void sq_gemm_block(const sq_gemm_job* job, int64_t m0, int64_t m1, int64_t p0, int64_t p1, uint8_t* scratch)
    int32_t sq_panels(const sq_packed* w, int32_t nr)
    void sq_q31_split(float ratio, int32_t* multiplier, int32_t* shift)
    void sq_fold(const int32_t* column_sums, const int32_t* zero_points, const int32_t* bias, int64_t columns,
                 int64_t k, int32_t zx, int32_t* out)

# Fewer channels than this in a tap, or not whole steps of 4: gathering rows (im2col) beats following a pointer per tap.
MIN_TAP_CHANNELS = 16
KINDS = {"requant_f32": SQ_REQUANT_F32, "requant_q31": SQ_REQUANT_Q31, "raw_s32": SQ_RAW_S32,
         "dequant_f32": SQ_DEQUANT_F32}


def rows() -> list:
    """The kernel table, in order of preference; tile = (rows, columns, steps of k)."""
    found = []
    for i in range(sq_gemm_rows()):
        row = sq_gemm_row_at(i)
        found.append(KernelRow.of("gemm", row.name, row.isa, row.mr, row.nr, row.kr))
    return found


def aligned(nbytes: int) -> np.ndarray:
    """uint8 [nbytes], zeros, starting at a multiple of 64 bytes."""
    buffer = np.zeros(nbytes + 64, np.uint8)
    begin = -buffer.ctypes.data % 64
    return buffer[begin:begin + nbytes]


cdef class PackedWeight:
    """Weights of all groups, packed for one row of the kernel table; made by `pack()`, never changed after."""

    @property
    def nbytes(self) -> int:
        """Bytes of the packed form, sums and zero points included."""
        return sum(b.nbytes for b in self._buffers)

    @property
    def depth(self) -> int:
        """Steps of four products that are added in int16 before they are widened (AVX2), else 1.

        0: both operands are widened to int16 first (AVX2, weights of which too many could overflow an int16 sum).
        """
        return self.raw.depth

    @property
    def extra_vectors(self) -> int:
        """Weight vectors beyond the plain ones that keep int16 sums exact (AVX2), else 0."""
        return self._buffers[3].shape[0] - 1 if len(self._buffers) > 3 else 0

    @property
    def shape(self) -> tuple:
        """(groups * n, k): the shape of the weights that were packed."""
        return self.groups * self.n, self.k

    def __repr__(self) -> str:
        return f"PackedWeight({self.groups} x {self.n} x {self.k}, {self.row}, {self.nbytes} bytes)"


cdef int _merge(int groups, int n, int lanes):
    """How many neighbouring groups to compute as one, so that a vector's lanes are not left empty."""
    cdef int merge = 1
    cdef int m
    for m in range(2, groups + 1):
        if m * n > lanes:
            break
        if groups % m == 0:
            merge = m
    return merge


def _merge_weights(weights, zero_points, int groups, int merge, int taps):
    """[groups * n, taps * c] to [groups/merge, merge * n, taps * merge * c]: blocks on the diagonal.

    Elsewhere the column's zero point, a weight of value 0.
    """
    n, c = weights.shape[0] // groups, weights.shape[1] // taps
    blocks = weights.reshape(groups // merge, merge, n, taps, c)
    full = np.empty((groups // merge, merge, n, taps, merge, c), np.int8)
    full[...] = zero_points.reshape(groups // merge, merge, n, 1, 1, 1)
    for i in range(merge):
        full[:, i, :, :, i] = blocks[:, i]
    return np.ascontiguousarray(full.reshape(groups * n, taps * merge * c))


def pack(weights, groups: int = 1, taps: int = 1, zero_point=0, row: str | None = None) -> PackedWeight:
    """Pack signed weights for the current ISA level.

    weights: int8 [groups * n, k], k = taps * channels of a group, channels innermost; n columns of a group come out.
    zero_point: of the weights, -128..255: one, or one per output column [groups * n].
    row: name of a row of the kernel table instead of the best one.
    """
    packed = PackedWeight()
    weights = describe_weights(packed, weights, groups, taps, zero_point)
    cdef int index = choose_row(rows(), row)
    if row is None and groups == 1:
        index = sq_gemm_row_for(index, packed.n, packed.k)
    _fill(packed, weights, taps, index)
    return packed


cdef object describe_weights(PackedWeight packed, weights, int groups, int taps, zero_point):
    weights = np.ascontiguousarray(weights)
    if weights.dtype != np.int8:
        raise DTypeError(f"weights must be int8, not {weights.dtype}")
    if weights.ndim != 2 or groups < 1 or taps < 1 or weights.shape[0] % groups or weights.shape[1] % taps:
        raise ShapeError(f"weights of shape {weights.shape} do not divide into {groups} groups of columns and "
                         f"{taps} taps")
    if max(weights.shape) >= 2**31:
        raise ShapeError(f"weights of shape {weights.shape} are too large")
    zero_points = np.ascontiguousarray(np.broadcast_to(np.asarray(zero_point, np.int32), weights.shape[:1]))
    if zero_points.size and not -128 <= zero_points.min() <= zero_points.max() <= 255:
        raise QuantizationError(f"zero points of int8 weights must be -128..255, not {zero_point}")
    packed.groups, packed.n, packed.k = groups, weights.shape[0] // groups, weights.shape[1]
    packed.column_sums = weights.sum(axis=1, dtype=np.int32)
    packed.zero_points = zero_points
    packed.has_zero_points = bool(zero_points.any())
    packed.raw.uniform = packed.has_zero_points and zero_points.min() == zero_points.max()
    packed.raw.zero_points = <const int32_t*><size_t>zero_points.ctypes.data if packed.has_zero_points else NULL
    return weights


cdef _fill(PackedWeight packed, weights, int taps, int row_index):
    """The native half of pack(): lays out the buffers that packed.raw points to."""
    cdef const sq_gemm_row* row = sq_gemm_row_at(row_index)
    cdef sq_packed* raw = &packed.raw
    cdef int64_t[4] sizes
    packed.row, packed.isa = row.name.decode(), _isa.NAMES[row.isa]
    # Merged groups have weights of value 0 between them, which are stored as the zero point: it must be an int8 itself.
    storable = not packed.zero_points.size or packed.zero_points.max() <= 127
    packed.merged = _merge(packed.groups, packed.n, row.lanes) if storable else 1
    if packed.merged > 1:
        weights = _merge_weights(weights, packed.zero_points, packed.groups, packed.merged, taps)
    cdef int channels = packed.k // taps * packed.merged
    if channels < MIN_TAP_CHANNELS or channels % max(4, row.kr):
        channels, taps = channels * taps, 1
    raw.row, raw.groups, raw.n = row_index, packed.groups // packed.merged, packed.n * packed.merged
    raw.taps, raw.kc = taps, channels
    cdef const int8_t[::1] w = weights.reshape(-1) if weights.size else np.zeros(1, np.int8)
    if sq_pack_sizes(row, &w[0], raw.groups, raw.n, taps, channels, sizes) < 0:
        raise MemoryError("no memory to pack weights")
    data = aligned(sizes[0] + 64)
    extras = np.zeros((sizes[1] + 1, 2), np.int32)
    begins = np.zeros(sizes[2] + 1, np.int32)
    extra_data = aligned(sizes[1] * row.lanes * row.kr + 64)
    raw.depth = <int32_t>sizes[3]
    sq_pack(row, &w[0], raw, <int8_t*><size_t>data.ctypes.data, <sq_extra*><size_t>extras.ctypes.data,
            <int32_t*><size_t>begins.ctypes.data, <int8_t*><size_t>extra_data.ctypes.data)
    packed._buffers = [data, packed.zero_points, packed.column_sums]
    if sizes[1]:
        packed._buffers += [extras, begins, extra_data]


def fold(packed: PackedWeight, x_zero_point: int, bias=None, out=None) -> np.ndarray:
    """The row that the sums start from: bias - zx * column sums + k * zx * zw, modulo 2^32.

    bias: int32 [groups * n] or None. Returns int32 [groups * n]; written into `out` when given.
    """
    cdef int32_t[::1] to = np.empty(packed.groups * packed.n, np.int32) if out is None else out
    cdef const int32_t[::1] start = None if bias is None else np.ascontiguousarray(bias, np.int32).reshape(-1)
    if to.shape[0] != packed.groups * packed.n or (start is not None and start.shape[0] != to.shape[0]):
        raise ShapeError(f"bias and folded row must have {packed.groups * packed.n} entries")
    if to.shape[0]:
        fold_into(packed, x_zero_point, NULL if start is None else &start[0], &to[0])
    return np.asarray(to)


cdef int fold_into(PackedWeight packed, int32_t x_zero_point, const int32_t* bias, int32_t* out) except -1:
    cdef const int32_t[::1] sums = packed.column_sums
    cdef const int32_t[::1] zero_points = packed.zero_points
    if sums.shape[0]:
        sq_fold(&sums[0], &zero_points[0], bias, sums.shape[0], packed.k, x_zero_point, out)
    return 0


def q31_split(ratio: float) -> tuple:
    """(multiplier, shift) of the mobile fixed point for the float32 `ratio` = sx * sw / sy, 2^-32 <= ratio < 1."""
    cdef int32_t multiplier, shift
    cdef float r = ratio
    if not 2.0**-32 <= r < 1:
        raise QuantizationError(f"the ratio of scales sx * sw / sy must be in [2^-32, 1), not {ratio}")
    sq_q31_split(r, &multiplier, &shift)
    return multiplier, shift


# ------------------------------------------------------------------------------------------------------ running

cdef struct plain_source:
    sq_source base
    const uint8_t* a
    int64_t lda


cdef void _fill_plain(const sq_source* source, int64_t m0, int64_t m1, int32_t group, const uint8_t** rows,
                      uint8_t* copy) noexcept nogil:
    cdef const plain_source* s = <const plain_source*>source
    cdef int64_t m
    for m in range(m0, m1):
        rows[m - m0] = s.a + m * s.lda


cdef int64_t _run_plain(const sq_source* source, int64_t m, int64_t most, const uint8_t** rows) noexcept nogil:
    cdef const plain_source* s = <const plain_source*>source
    rows[0] = s.a + m * s.lda
    return most


# A job cut into a grid of `by_rows` x `by_panels` pieces, one a thread.
cdef struct grid:
    const sq_gemm_job* job
    uint8_t* scratch
    int64_t scratch_bytes
    int64_t by_rows, by_panels, row_blocks, panels


cdef enum:
    ROW_BLOCK = 24      # a multiple of every row's tile height


cdef void _run_pieces(const void* what, long long begin, long long end) noexcept nogil:
    cdef const grid* g = <const grid*>what
    cdef int64_t i, r, p, m0, m1
    for i in range(begin, end):
        r, p = i // g.by_panels, i % g.by_panels
        m0 = r * g.row_blocks // g.by_rows * ROW_BLOCK
        m1 = (r + 1) * g.row_blocks // g.by_rows * ROW_BLOCK
        sq_gemm_block(g.job, m0, min(m1, g.job.m), p * g.panels // g.by_panels, (p + 1) * g.panels // g.by_panels,
                      NULL if g.scratch == NULL else g.scratch + i * g.scratch_bytes)


cdef void _choose_grid(grid* g, int team) noexcept nogil:
    """The split of rows and panels that leaves the longest piece shortest; on ties more splits of rows. Whole rows are
    worth something to what comes `after`, which is called once for all of them."""
    cdef int64_t rows, panels, longest, best = -1
    cdef int64_t share = 8 if g.job.ep.after != NULL else 1 << 40
    for panels in range(1, team + 1):
        rows = min(<int64_t>(team // panels), g.row_blocks)
        if panels > g.panels:
            break
        longest = ((g.row_blocks + rows - 1) // rows) * ((g.panels + panels - 1) // panels)
        if best < 0 or longest < best - best // share:
            best, g.by_rows, g.by_panels = longest, rows, panels


cdef int gemm_job(const sq_gemm_job* job, uint8_t* scratch, int slots, int team) noexcept nogil:
    cdef grid g
    cdef const sq_packed* w = job.packed
    g.job, g.scratch = job, scratch
    g.scratch_bytes = sq_job_scratch(w, job.source.copies)
    g.row_blocks = (job.m + ROW_BLOCK - 1) // ROW_BLOCK
    g.panels = <int64_t>w.groups * sq_panels(w, sq_gemm_row_at(w.row).nr)
    if g.row_blocks == 0 or g.panels == 0:
        return 0
    _choose_grid(&g, max(1, min(team, slots)))
    parallel_range(_run_pieces, &g, g.by_rows * g.by_panels, 1, <int>(g.by_rows * g.by_panels))
    return 0


cdef int gemm_team(const sq_packed* packed, int64_t m) noexcept nogil:
    # A core does some 16 to 64 of these multiply-adds in the time of one elementary operation.
    return team_size(m * packed.groups * packed.n * packed.taps * packed.kc // 16)


cdef int gemm_u8(const uint8_t* a, int64_t m, int64_t lda, const sq_packed* packed, const sq_epilogue* ep, void* c,
                 int64_t ldc) noexcept nogil:
    cdef plain_source source
    cdef sq_gemm_job job
    source.base.fill, source.base.copies, source.a, source.lda = _fill_plain, 0, a, lda
    source.base.run, source.base.step = _run_plain, lda
    job.packed, job.ep, job.source, job.c, job.m, job.ldc = packed, ep, &source.base, c, m, ldc
    return gemm_job(&job, NULL, 1 << 20, gemm_team(packed, m))


# ------------------------------------------------------------------------------------- arrays, for tests and benchmarks

cdef class Epilogue:
    """An `sq_epilogue` and the arrays it points to, checked once.

    kind: one of KINDS. bias: the folded row, int32 [columns]. multiplier: float32, one or [columns]. bias_f32: float32
    [columns] or None. zero_point, lo, hi: of a u8 output. ratio: requant_q31's. relu: dequant_f32's.
    """

    def __init__(self, kind: str, columns: int, bias, multiplier=1.0, bias_f32=None, zero_point: int = 0, lo: int = 0,
                 hi: int = 255, ratio: float = 0.5, relu: bool = False):
        if kind not in KINDS:
            raise ArgumentError(f"unknown kind {kind!r} of epilogue; choose one of {', '.join(KINDS)}")
        self.kind = kind
        self._bias = np.ascontiguousarray(bias, np.int32)
        self._multiplier = np.ascontiguousarray(multiplier, np.float32).reshape(-1)
        self._bias_f32 = None if bias_f32 is None else np.ascontiguousarray(bias_f32, np.float32)
        if self._bias.shape != (columns,) or self._multiplier.size not in (1, columns) or (
                bias_f32 is not None and self._bias_f32.shape != (columns,)):
            raise ShapeError(f"bias, multiplier and bias_f32 must have {columns} entries")
        self.raw.kind, self.raw.per_column = KINDS[kind], self._multiplier.size != 1
        self.raw.bias = <const int32_t*><size_t>self._bias.ctypes.data
        self.raw.multiplier = <const float*><size_t>self._multiplier.ctypes.data
        self.raw.bias_f32 = NULL if bias_f32 is None else <const float*><size_t>self._bias_f32.ctypes.data
        self.raw.zero_point, self.raw.lo, self.raw.hi, self.raw.relu = zero_point, lo, hi, relu
        self.raw.q31_multiplier, self.raw.q31_shift = q31_split(ratio)

    @property
    def dtype(self) -> np.dtype:
        """What it writes."""
        return np.dtype({"raw_s32": np.int32, "dequant_f32": np.float32}.get(self.kind, np.uint8))


def gemm(a, packed: PackedWeight, epilogue: Epilogue, out=None) -> np.ndarray:
    """epilogue(a @ weights.T) for uint8 a [m, groups * k], C order. Returns or fills [m, groups * n]."""
    cdef const uint8_t[:, ::1] x = a
    if x.shape[1] != packed.groups * packed.k:
        raise ShapeError(f"a has {x.shape[1]} columns, the weights {packed.groups} groups of {packed.k}")
    if packed.raw.taps != 1 or packed.raw.depthwise:
        raise ShapeError(f"these weights are packed for a convolution with {packed.raw.taps} taps")
    columns = packed.groups * packed.n
    y = np.empty((x.shape[0], columns), epilogue.dtype) if out is None else out
    if y.shape != (x.shape[0], columns) or y.dtype != epilogue.dtype or not y.flags.c_contiguous:
        raise ShapeError(f"out must be {epilogue.dtype} ({x.shape[0]}, {columns}) in C order")
    cdef uint8_t[::1] to = y.view(np.uint8).reshape(-1) if y.size else None
    if y.size:
        with nogil:
            gemm_u8(&x[0, 0] if x.shape[1] else NULL, x.shape[0], x.shape[1], &packed.raw, &epilogue.raw, &to[0],
                    packed.groups * packed.n)
    return y
