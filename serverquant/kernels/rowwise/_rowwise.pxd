"""Rows quantized by parameters of their own, to and from float: formats and formulas in rowwise.h."""
from libc.stdint cimport int64_t, uint8_t

cdef extern from "../kernels/rowwise/rowwise.h" nogil:
    enum:
        SQ_ROWS_U8
        SQ_ROWS_U8_HALF
        SQ_ROWS_U4
        SQ_ROWS_U2
        SQ_ROWS_FAKE
        SQ_ROWS_APART

    long long sq_row_bytes(int format, long long n)

# x [rows][n] -> y [rows][sq_row_bytes()]; apart [rows][2] for SQ_ROWS_APART.
cdef void quantize_rows(const float* x, uint8_t* y, float* apart, int64_t rows, int64_t n, int format, int bits,
                        bint greedy) noexcept nogil
cdef void dequantize_rows(const uint8_t* x, const float* apart, float* y, int64_t rows, int64_t n,
                          int format) noexcept nogil
