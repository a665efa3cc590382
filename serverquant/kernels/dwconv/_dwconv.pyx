"""Depthwise int8 convolution, vectorised over channels. Reached through `kernels/conv`, which packs and points.

Contract and formulas: dwconv.h. Weights with more than one output per channel take the matrix product instead.
"""
import numpy as np
from libc.stdint cimport int8_t, int32_t

from serverquant._base._threads cimport parallel_range, team_size
from serverquant.kernels.gemm._gemm cimport describe_weights

from serverquant._base import _isa
from serverquant.kernels.gemm._gemm import aligned
from serverquant.kernels.row import KernelRow, choose_row

cdef extern from "../kernels/dwconv/dwconv.h" nogil:
    ctypedef struct sq_dw_row:
        const char* name
        int32_t isa, block

    enum:
        SQ_DW_FEW

    int sq_dw_rows()
    const sq_dw_row* sq_dw_row_at(int index)
    int64_t sq_dw_packed_bytes(const sq_dw_row* row, int32_t channels, int32_t taps)
    void sq_dw_pack(const sq_dw_row* row, const int8_t* weights, const int32_t* zero_points, int32_t channels,
                    int32_t taps, int8_t* out)
    void sq_dw_block(const sq_gemm_job* job, int64_t m0, int64_t m1, uint8_t* scratch)
    int64_t sq_dw_period(const sq_dw_row* row, int64_t channels)
    int64_t sq_conv_pixels(const sq_conv_geometry* g)
    int sq_dw_flat_fits(const sq_conv_geometry* geometry, const sq_packed* packed)
    int64_t sq_dw_flat_scratch(const sq_conv_geometry* geometry, const sq_packed* packed)
    void sq_dw_flat_range(const void* job, long long begin, long long end)

cdef enum:
    PIXEL_BLOCK = 8     # a thread's share is a multiple of this


def rows() -> list:
    """The kernel table, in order of preference; tile = (channels,)."""
    found = []
    for i in range(sq_dw_rows()):
        row = sq_dw_row_at(i)
        found.append(KernelRow.of("dwconv", row.name, row.isa, row.block))
    return found


def pack_depthwise(weights, zero_point=0, row: str | None = None) -> PackedWeight:
    """Pack int8 weights [channels, taps] of a depthwise convolution. zero_point and row as in `gemm.pack`."""
    cdef PackedWeight packed = PackedWeight()
    weights = describe_weights(packed, weights, weights.shape[0], weights.shape[1], zero_point)
    packed.raw.row = choose_row(rows(), row)
    cdef const sq_dw_row* chosen = sq_dw_row_at(packed.raw.row)
    packed.row, packed.isa = chosen.name.decode(), _isa.NAMES[chosen.isa]
    cdef int32_t channels = packed.groups if packed.groups > SQ_DW_FEW else <int32_t>sq_dw_period(chosen, packed.groups)
    cdef const int8_t[:, ::1] w = np.resize(weights, (channels, packed.k))
    cdef const int32_t[::1] zero_points = np.resize(packed.zero_points, channels)
    data = aligned(sq_dw_packed_bytes(chosen, channels, packed.k))
    sq_dw_pack(chosen, &w[0, 0], &zero_points[0], channels, packed.k, <int8_t*><size_t>data.ctypes.data)
    packed.raw.data = <const int8_t*><size_t>data.ctypes.data
    packed.raw.depthwise = 1
    packed.raw.groups, packed.raw.n, packed.raw.taps, packed.raw.kc = packed.groups, 1, packed.k, 1
    packed._buffers = [data, packed.zero_points, packed.column_sums]
    return packed


cdef struct shared_job:
    const sq_gemm_job* job
    uint8_t* scratch
    int64_t scratch_bytes
    int64_t blocks, team


cdef void _run_piece(const void* what, long long begin, long long end) noexcept nogil:
    cdef const shared_job* s = <const shared_job*>what
    cdef int64_t i, m1
    for i in range(begin, end):
        m1 = (i + 1) * s.blocks // s.team * PIXEL_BLOCK
        sq_dw_block(s.job, i * s.blocks // s.team * PIXEL_BLOCK, min(m1, s.job.m), s.scratch + i * s.scratch_bytes)


cdef int dwconv_job(const sq_gemm_job* job, uint8_t* scratch, int slots) noexcept nogil:
    cdef shared_job s
    cdef const sq_packed* w = job.packed
    # A core does some four of these multiply-adds in the time of one elementary operation.
    cdef int team = team_size(job.m * w.groups * w.taps // 4)
    s.job, s.scratch, s.scratch_bytes = job, scratch, sq_dw_scratch(w)
    s.blocks = (job.m + PIXEL_BLOCK - 1) // PIXEL_BLOCK
    s.team = max(1, min(<int64_t>min(team, slots), s.blocks))
    parallel_range(_run_piece, &s, s.team, 1, <int>s.team)
    return 0


cdef int64_t flat_scratch(const sq_conv_geometry* geometry, const sq_packed* packed) noexcept nogil:
    return sq_dw_flat_scratch(geometry, packed) if sq_dw_flat_fits(geometry, packed) else 0


cdef int dwconv_flat(sq_dw_flat_job* job, int slots) noexcept nogil:
    cdef int team = team_size(sq_conv_pixels(job.geometry) * job.packed.groups * job.packed.taps // 4)
    job.team = max(1, min(team, slots))
    parallel_range(sq_dw_flat_range, job, job.team, 1, <int>job.team)
    return 0
