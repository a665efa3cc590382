from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t

cdef extern from "serverquant/op_api.h" nogil:
    enum:
        SQ_TENSOR_DIMS
        SQ_EMPTY
        SQ_TENSOR
        SQ_INT8
        SQ_OBJECT
        SQ_OK
        SQ_PREPARE
        SQ_ERROR
        SQ_ERROR_BYTES
    ctypedef struct sq_shape:
        int32_t kind, dtype, ndim, item_bytes
        int64_t size
        int64_t dims[16]
    ctypedef struct sq_tensor:
        sq_shape shape
        void* data
        float scale
        int32_t zero_point
        uint64_t version
        uint64_t spec
        size_t capacity
        void* owner
    ctypedef struct sq_step:
        int (*run)(sq_step* step) noexcept nogil
        sq_tensor** in_ "in"
        sq_tensor** out
        int32_t n_in, n_out
        void* ctx
        uint32_t rows
        int (*reshape)(sq_step* step, const sq_shape* const* inputs, sq_shape* const* outputs) noexcept nogil
        void* (*scratch)(sq_step* step, size_t bytes) noexcept nogil
        void* arena
        char* error


cdef uint64_t next_spec() noexcept nogil
cdef int shape_from(sq_shape* shape, int kind, int dtype, dims) except -1
# Give the tensor this shape and room for it; 0, or -1 when there is no memory.
cdef int respec(sq_tensor* t, const sq_shape* shape, uint64_t spec) noexcept nogil


cdef class Buffer:
    cdef void* data
    cdef size_t capacity


cdef class Blob:
    cdef sq_tensor t
    cdef readonly str name
    cdef Buffer buffer
    cdef object _value
    cdef dict _packed
    cdef uint64_t _packed_version
    cdef public str why_empty
    cdef public bint slim
    cdef object _restore
    cdef uint64_t _restore_version
    cdef int _make_room(self, size_t nbytes) noexcept
    cdef _feed_array(self, array, int dtype, int kind)
    cdef _copy_in(self, array)
    cdef _bring_back(self)
