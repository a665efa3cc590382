"""Cells of recurrent nets: see recurrent.h."""

cdef extern from "../kernels/recurrent/recurrent.h" nogil:
    ctypedef struct sq_cell_job:
        const float* h_before
        const float* c_before
        const float* gates
        const int* lengths
        float* h
        float* c
        long long d
        int step, drop
        float forget_bias

# `rows` rows of a job. States may be updated in place.
cdef void lstm_unit(const sq_cell_job* job, long long rows) noexcept nogil
cdef void gru_unit(const sq_cell_job* job, long long rows) noexcept nogil
