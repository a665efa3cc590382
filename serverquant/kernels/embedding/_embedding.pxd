"""Sums over bags of table rows: see embedding.h."""
from libc.stdint cimport int32_t, int64_t

cdef extern from "../kernels/embedding/embedding.h" nogil:
    ctypedef struct sq_bags_job:
        const void* table
        long long rows, columns, stride
        const void* indices
        int wide_indices
        const int64_t* starts
        const float* weights
        int positional, mean
        const int32_t* map
        long long mapped
        const float* apart
        int* outside
        float* y

    size_t sq_bags_scratch(const sq_bags_job* job, int bits, long long indices)

# bits of a table's values: 32 (float), 16 (half), 8, 4, 2. scratch: sq_bags_scratch bytes.
cdef void sum_bags(sq_bags_job* job, int bits, int64_t bags, int64_t indices, void* scratch) noexcept nogil
