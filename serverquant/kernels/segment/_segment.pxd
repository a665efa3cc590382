"""Reductions of segments: see segment.h for the rules."""
from libc.stdint cimport int64_t

cdef extern from "segment.h" nogil:
    ctypedef struct sq_segment_job:
        const float* data
        const float* weights
        const void* rows
        int wide_rows
        const int64_t* offsets
        const int64_t* order
        float* y
        long long columns

# kind: its place in _segment.NAMES. positions: how many rows there are in all segments.
cdef void reduce_segments(int kind, const sq_segment_job* job, long long segments, long long positions) noexcept nogil
