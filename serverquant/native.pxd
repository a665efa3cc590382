"""For native operators in Cython: `from serverquant.native cimport ...`. Compile with serverquant.get_include()."""
from serverquant.blobs._blob cimport (
    SQ_EMPTY,
    SQ_ERROR,
    SQ_INT8,
    SQ_OBJECT,
    SQ_OK,
    SQ_PREPARE,
    SQ_TENSOR,
    sq_shape,
    sq_step,
    sq_tensor,
)
from serverquant.runtime._native cimport native_step


cdef extern from "serverquant/op_api.h" nogil:
    int fail "sq_fail" (sq_step* step, const char* format, ...)
