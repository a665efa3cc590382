"""Small pieces that native steps of several families share."""
from libc.stdint cimport int32_t, int64_t

from serverquant.blobs._blob cimport SQ_INT8, sq_shape, sq_tensor


cdef inline void pass_qparams(const sq_tensor* x, sq_tensor* y) noexcept nogil:
    """Scale and zero point go along."""
    if x.shape.kind == SQ_INT8:
        y.scale, y.zero_point = x.scale, x.zero_point


cdef inline int64_t product(const int64_t* dims, int begin, int end) noexcept nogil:
    cdef int64_t p = 1
    cdef int i
    for i in range(begin, end):
        p *= dims[i]
    return p


cdef inline void set_size(sq_shape* shape) noexcept nogil:
    """After its dims were written."""
    shape.size = product(shape.dims, 0, shape.ndim)


cdef inline int64_t index_at(const sq_tensor* t, int64_t i) noexcept nogil:
    """Element i of a tensor of int32 or int64."""
    return (<int32_t*>t.data)[i] if t.shape.item_bytes == 4 else (<int64_t*>t.data)[i]
