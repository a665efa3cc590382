"""Tables of embeddings whose rows are quantized by themselves, to and from float. See rowwise.h."""
import numpy as np

from serverquant._base._isa cimport level
from serverquant._base._threads cimport parallel_range, range_fn, team_size
from serverquant.kernels._rows cimport fill_levels, row_objects, sq_row

cdef extern from "rowwise.h" nogil:
    const sq_row* sq_rowwise_rows
    const int sq_rowwise_row_count

    ctypedef struct sq_quantize_rows_job:
        const float* x
        uint8_t* y
        float* apart
        long long n
        int format, bits, greedy

    ctypedef struct sq_dequantize_rows_job:
        const uint8_t* x
        const float* apart
        float* y
        long long n
        int format

# Elementary operations of the search for a better range, a value; of a plain value.
cdef enum:
    SEARCH_WORK = 400
    VALUE_WORK = 4

cdef range_fn[3] QUANTIZE, DEQUANTIZE

fill_levels(QUANTIZE, sq_rowwise_rows, sq_rowwise_row_count, b"quantize_rows")
fill_levels(DEQUANTIZE, sq_rowwise_rows, sq_rowwise_row_count, b"dequantize_rows")

FORMATS = {"u8": SQ_ROWS_U8, "u8_half": SQ_ROWS_U8_HALF, "u4": SQ_ROWS_U4, "u2": SQ_ROWS_U2, "fake": SQ_ROWS_FAKE,
           "apart": SQ_ROWS_APART}


def rows() -> list:
    """The kernel table, fastest first for each op."""
    return row_objects("rowwise", sq_rowwise_rows, sq_rowwise_row_count)


cdef void quantize_rows(const float* x, uint8_t* y, float* apart, int64_t rows, int64_t n, int format, int bits,
                        bint greedy) noexcept nogil:
    cdef sq_quantize_rows_job job
    job.x, job.y, job.apart, job.n = x, y, apart, n
    job.format, job.bits, job.greedy = format, bits, greedy
    parallel_range(QUANTIZE[level()], &job, rows, 1, team_size(rows * n * (SEARCH_WORK if greedy else VALUE_WORK)))


cdef void dequantize_rows(const uint8_t* x, const float* apart, float* y, int64_t rows, int64_t n,
                          int format) noexcept nogil:
    cdef sq_dequantize_rows_job job
    job.x, job.apart, job.y, job.n, job.format = x, apart, y, n, format
    parallel_range(DEQUANTIZE[level()], &job, rows, 1, team_size(rows * n))


def py_quantize_rows(const float[:, ::1] x, str format, int bits=8, bint greedy=False):
    """For tests: uint8 [rows, bytes of a row], and float32 [rows, 2] or None."""
    cdef int64_t n = x.shape[1]
    y = np.empty((x.shape[0], sq_row_bytes(FORMATS[format], n)), np.uint8)
    apart = np.empty((x.shape[0], 2), np.float32)
    cdef uint8_t[:, ::1] to = y
    cdef float[:, ::1] params = apart
    if x.shape[0] and n:
        quantize_rows(&x[0, 0], &to[0, 0], &params[0, 0], x.shape[0], n, FORMATS[format], bits, greedy)
    return y, apart if format == "apart" else None


def py_dequantize_rows(const uint8_t[:, ::1] x, str format, int64_t n, apart=None):
    """For tests: float32 [rows, n]."""
    y = np.empty((x.shape[0], n), np.float32)
    cdef float[:, ::1] to = y
    cdef const float[:, ::1] params = np.zeros((1, 2), np.float32) if apart is None else apart
    if x.shape[1] != sq_row_bytes(FORMATS[format], n):
        raise ValueError("rows of another length")
    if x.shape[0] and n:
        dequantize_rows(&x[0, 0], &params[0, 0], &to[0, 0], x.shape[0], n, FORMATS[format])
    return y
