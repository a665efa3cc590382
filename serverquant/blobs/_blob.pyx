"""Blob: one named value of a workspace, with its memory.

A blob holds a tensor (any TensorProto data type), an Int8 tensor (uint8, int32 or uint16 data with scale and zero
point), or any Python object (packed weights, strings). Its C half, `sq_tensor`, stays at one address for the blob's
life, so that planned steps can point to it.
"""
import os
from functools import partial

import numpy as np

from cpython.buffer cimport PyBUF_C_CONTIGUOUS, PyBuffer_FillInfo, PyBuffer_Release, PyObject_GetBuffer
from libc.math cimport isfinite
from libc.stdlib cimport free
from libc.string cimport memcpy, memset

from serverquant._base.errors import DTypeError, MissingBlobError, QuantizationError, ServerquantError, ShapeError
from serverquant.blobs import dtypes, spec as specs

cdef extern from "stdlib.h" nogil:
    int posix_memalign(void** out, size_t alignment, size_t size)

cdef enum:
    ALIGNMENT = 64
    STRING = 4

cdef uint64_t _specs = 0
cdef list _ITEM_BYTES = [dtypes.NUMPY[i].itemsize if i in dtypes.NUMPY else 0 for i in range(16)]
cdef dict _NUMPY = dtypes.NUMPY


def _memory() -> int:
    """Bytes that this process may ever have: the machine's memory, or what its control group allows."""
    found = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            with open(path) as file:
                found = min(found, int(file.read()))
        except (OSError, ValueError):  # no such file, or "max"
            pass
    return found


# More than all of the memory is never a real shape, whatever a file claims.
cdef size_t _MEMORY = _memory()


cdef extern from *:
    """
    #ifdef __linux__
    #include <sys/mman.h>
    #endif

    /* Nets on several threads take numbers at the same time. */
    static inline uint64_t sq_count_up(uint64_t* n) { return __atomic_add_fetch(n, 1, __ATOMIC_RELAXED); }

    /* The rows that a bag of embeddings sums lie on as many pages. A processor has the addresses of some 3,072 at hand;
     * a blob of more asks for large pages, but for none that would reach beyond it: it takes no more memory. */
    static void sq_ask_large_pages(void* data, size_t nbytes) {
    #ifdef MADV_HUGEPAGE
        const size_t page = (size_t)2 << 20, begin = ((size_t)data + page - 1) / page * page;
        const size_t end = ((size_t)data + nbytes) / page * page;
        if (nbytes >= (size_t)3072 << 12 && begin < end) madvise((void*)begin, end - begin, MADV_HUGEPAGE);
    #endif
    }
    """
    uint64_t sq_count_up(uint64_t* n) nogil
    void sq_ask_large_pages(void* data, size_t nbytes) nogil


cdef uint64_t next_spec() noexcept nogil:
    return sq_count_up(&_specs)


cdef int shape_from(sq_shape* shape, int kind, int dtype, dims) except -1:
    """Fill `shape`; ShapeError for what no tensor can have."""
    cdef int i
    cdef object size = 1, whole = 1
    if len(dims) > SQ_TENSOR_DIMS:
        raise ShapeError(f"a tensor has at most {SQ_TENSOR_DIMS} dimensions, not {len(dims)}")
    shape.kind, shape.dtype, shape.ndim = kind, dtype, <int>len(dims)
    shape.item_bytes = _ITEM_BYTES[dtype] if 0 <= dtype < 16 else 0
    for i in range(shape.ndim):
        if dims[i] < 0:
            raise ShapeError(f"dimension {i} of shape {tuple(dims)} is negative")
        size *= dims[i]
        whole *= max(dims[i], 1)  # without the zeros: strides have to fit 64 bits too
        if size * shape.item_bytes > _MEMORY or whole * max(shape.item_bytes, 1) >= 1 << 62:
            raise ShapeError(f"shape {tuple(dims)} of {dtypes.name(dtype)} needs more memory than this machine has")
        shape.dims[i] = dims[i]
    shape.size = size
    return 0


def check_shape(spec) -> None:
    """ShapeError for a Spec that no tensor can have."""
    cdef sq_shape shape
    shape_from(&shape, spec.kind, spec.dtype, spec.dims)


cdef int respec(sq_tensor* t, const sq_shape* shape, uint64_t spec) noexcept nogil:
    cdef size_t need = <size_t>shape.size * shape.item_bytes
    cdef bint strings = t.shape.dtype == STRING
    if strings and shape.dtype == STRING:
        pass  # they stay, since a step that works in place reads them
    elif need > t.capacity or t.data == NULL or t.shape.kind == SQ_OBJECT or shape.kind == SQ_OBJECT or strings:
        with gil:
            if (<Blob>t.owner)._make_room(need) != 0:
                return -1
    t.shape = shape[0]
    t.spec = spec
    return 0


cdef class Buffer:
    """Aligned memory with slack for reads behind its end; numpy views keep it alive."""

    def __dealloc__(self):
        free(self.data)

    def __getbuffer__(self, Py_buffer* view, int flags):
        PyBuffer_FillInfo(view, self, self.data, <Py_ssize_t>self.capacity, 0, flags)


cdef Buffer new_buffer(size_t nbytes):
    """A buffer of at least `nbytes`, or None when there is no memory."""
    cdef Buffer buffer = Buffer.__new__(Buffer)
    cdef size_t room = (nbytes + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT
    if posix_memalign(&buffer.data, ALIGNMENT, room + ALIGNMENT) != 0:
        buffer.data = NULL
        return None
    sq_ask_large_pages(buffer.data, room)
    # What lies behind the values is read by vector code and never used; zero keeps checkers quiet.
    memset(<char*>buffer.data + nbytes, 0, room + ALIGNMENT - nbytes)
    buffer.capacity = room
    return buffer


cdef class Blob:
    """One named value. Made by a store; `spec()` says what it holds.

    Attributes: `name`; `version`, which grows with every write; `scale` and `zero_point` of an Int8 tensor; `why_empty`,
    what an empty blob's error says; `slim`: the values are dropped once a packed form is there that gives them back
    (only `view` and `fetch` may read them then, never a step by itself).
    """

    def __cinit__(self, str name):
        self.name = name
        self.t.owner = <void*>self
        self.t.scale = 1
        self._packed = {}

    # ---- state ------------------------------------------------------------------------------------------------

    @property
    def version(self):
        return self.t.version

    @property
    def scale(self):
        return self.t.scale

    @property
    def zero_point(self):
        return self.t.zero_point

    @property
    def kind(self):
        return self.t.shape.kind

    @property
    def is_empty(self):
        return self.t.shape.kind == SQ_EMPTY

    @property
    def nbytes(self):
        """Bytes of the values (0 for objects)."""
        return self.t.shape.size * self.t.shape.item_bytes if self.t.shape.kind in (SQ_TENSOR, SQ_INT8) else 0

    @property
    def dims(self):
        cdef int i
        return tuple([self.t.shape.dims[i] for i in range(self.t.shape.ndim)])

    def spec(self):
        """Kind, data type and shape as a `Spec`."""
        return specs.Spec(self.dims, self.t.shape.dtype, self.t.shape.kind)

    def __repr__(self):
        text = repr(self.spec())
        if self.t.shape.kind == SQ_INT8:
            text += f", scale {self.t.scale:.6g}, zero point {self.t.zero_point}"
        elif self.t.shape.kind == SQ_OBJECT:
            text = repr(self._value)
        return f"<Blob {self.name!r}: {text}>"

    def clear(self):
        """Forget the value and its memory."""
        self.buffer = None
        self._value = None
        self._packed = {}
        self._restore = None
        memset(&self.t.shape, 0, sizeof(sq_shape))
        self.t.data = NULL
        self.t.capacity = 0
        self.t.spec = next_spec()
        self.t.version += 1

    # ---- memory -----------------------------------------------------------------------------------------------

    cdef int _make_room(self, size_t nbytes) noexcept:
        """Memory for `nbytes`, growing by at least half; 0, or -1 when there is none."""
        cdef size_t room = nbytes
        cdef Buffer buffer
        self._value = None
        if self.buffer is not None and nbytes <= self.buffer.capacity:
            self.t.data, self.t.capacity = self.buffer.data, self.buffer.capacity
            return 0
        if self.t.capacity and room < self.t.capacity + self.t.capacity // 2:
            room = self.t.capacity + self.t.capacity // 2
        buffer = new_buffer(room)
        if buffer is None and room > nbytes:
            buffer = new_buffer(nbytes)
        if buffer is None:
            return -1
        self.buffer = buffer
        self.t.data, self.t.capacity = buffer.data, buffer.capacity
        return 0

    def resize(self, dims, int dtype, int kind=SQ_TENSOR):
        """Give the blob a type and shape with memory behind it; the values are whatever was there."""
        cdef sq_shape shape
        memset(&shape, 0, sizeof(sq_shape))
        shape_from(&shape, kind, dtype, dims)
        if respec(&self.t, &shape, next_spec()) != 0:
            raise ServerquantError(f'no memory for blob "{self.name}": {specs.Spec(tuple(dims), dtype, kind)!r}')
        self.t.version += 1

    def view(self):
        """The tensor's values as a numpy array over the blob's own memory: good until the next write."""
        cdef sq_shape* s = &self.t.shape
        if s.kind != SQ_TENSOR and s.kind != SQ_INT8:
            raise DTypeError(f'blob "{self.name}" holds {self.spec()!r}, not a tensor')
        if s.dtype == STRING:
            return self._value
        if s.size == 0:
            return np.empty(self.dims, _NUMPY[s.dtype])
        if self.t.data == NULL:
            self._bring_back()
        return np.frombuffer(self.buffer, _NUMPY[s.dtype], s.size).reshape(self.dims)

    # ---- values -----------------------------------------------------------------------------------------------

    def feed(self, value, device_option=None):
        """Take a copy of `value`: an array or anything that numpy makes one of, strings, or an `Int8`-like triple.
        A str or bytes by itself is kept as it is, in bytes. `device_option` is there for Caffe2's sake."""
        if isinstance(value, (str, bytes)):
            self.feed_object(value if isinstance(value, bytes) else value.encode())
            return
        if hasattr(value, "zero_point"):
            self.feed_int8(value.data, value.scale, value.zero_point)
            return
        array = value if isinstance(value, np.ndarray) else np.asarray(value)
        dtype = dtypes.from_numpy(array.dtype)
        if dtype == STRING:
            self._feed_strings(array)
        else:
            self._feed_array(array, dtype, SQ_TENSOR)

    def feed_int8(self, data, scale, zero_point):
        """Take a copy of quantized `data` (uint8, int32 or uint16): value = scale * (q - zero_point)."""
        array = np.asarray(data)
        if array.dtype not in (np.uint8, np.int32, np.uint16):
            raise DTypeError(f'blob "{self.name}": an Int8 tensor holds uint8, int32 or uint16, not {array.dtype}')
        check_qparams(scale, zero_point, array.dtype)
        self._feed_array(array, dtypes.from_numpy(array.dtype), SQ_INT8)
        self.t.scale, self.t.zero_point = scale, zero_point

    def set_qparams(self, scale, zero_point):
        """Scale and zero point of an Int8 tensor whose data is there already."""
        check_qparams(scale, zero_point, _NUMPY[self.t.shape.dtype])
        self.t.scale, self.t.zero_point = scale, zero_point

    def feed_object(self, value):
        """Hold a Python object, such as packed weights; its `dims`, if it has any, are the blob's."""
        self.clear()
        shape_from(&self.t.shape, SQ_OBJECT, 0, getattr(value, "dims", ()))
        self._value = value

    cdef _feed_array(self, array, int dtype, int kind):
        self.resize(array.shape, dtype, kind)
        if self.t.shape.size:
            self._copy_in(array)

    def _feed_strings(self, array):
        strings = np.empty(array.shape, object)
        for i, item in enumerate(array.flat):
            if not isinstance(item, (bytes, str)):
                raise DTypeError(f'blob "{self.name}": a string tensor holds bytes or str, not {type(item).__name__}')
            strings.flat[i] = item if isinstance(item, bytes) else item.encode()
        self.clear()
        shape_from(&self.t.shape, SQ_TENSOR, STRING, strings.shape)
        self._value = strings

    def fetch(self):
        """A copy of the tensor's values (strings: an object array of bytes), or the object itself."""
        if self.t.shape.kind == SQ_EMPTY:
            raise MissingBlobError(f'blob "{self.name}" is empty: {self.why_empty or "nothing has been written to it yet"}')
        if self.t.shape.kind == SQ_OBJECT:
            return self._value
        if self.is_dropped:
            return self._restore()
        return self.view().copy()

    def tensor(self):
        """The tensor in it as an object that writes through: see blobs/tensor_view.py."""
        from serverquant.blobs.tensor_view import TensorView

        return TensorView(self)

    def serialize(self, name):
        """The value as bytes of a BlobProto."""
        from serverquant.blobs.serialize import to_message

        return to_message(self, name).SerializeToString()

    def deserialize(self, bytes data):
        """Take the value of a serialized BlobProto."""
        from serverquant import proto
        from serverquant.blobs.serialize import feed_message
        from serverquant.proto.io import load

        feed_message(self, load(data, proto.BlobProto))

    @property
    def value(self):
        """The Python object of an OBJECT blob."""
        return self._value

    # ---- derived data -----------------------------------------------------------------------------------------

    def packed(self, key, make, unpack=None):
        """What `make()` derives from this version of the value, made once for each `key` and shared by all nets.
        unpack(packed) gives the values back, bit for bit, in the blob's shape and type; a slim blob then drops its own."""
        if self._packed_version != self.t.version:
            self._packed = {}
            self._packed_version = self.t.version
        found = self._packed.get(key)
        if found is None:
            found = self._packed[key] = make()
        if self.slim and unpack is not None and self.t.data != NULL:
            self._restore, self._restore_version = partial(unpack, found), self.t.version
            self.buffer = None
            self.t.data, self.t.capacity = NULL, 0
        return found

    @property
    def is_dropped(self):
        """Whether the values are there in a packed form alone."""
        return self.t.data == NULL and self._restore is not None and self._restore_version == self.t.version

    cdef _bring_back(self):
        """Values that were dropped, until something is packed again."""
        if not self.is_dropped:
            raise ServerquantError(f'blob "{self.name}" has no values')
        array = self._restore()
        if self._make_room(array.nbytes) != 0:
            raise MemoryError
        self._copy_in(array)

    cdef _copy_in(self, array):
        cdef Py_buffer source
        PyObject_GetBuffer(np.asarray(array, order="C"), &source, PyBUF_C_CONTIGUOUS)
        memcpy(self.t.data, source.buf, source.len)
        PyBuffer_Release(&source)

    @property
    def packed_bytes(self):
        """Bytes of all packed forms of this value."""
        return sum([getattr(p, "nbytes", 0) for p in self._packed.values()])


def check_qparams(scale, zero_point, dtype=np.uint8):
    """QuantizationError unless scale is a positive finite number and the zero point fits the data type."""
    cdef float narrow = scale
    if not (narrow > 0 and isfinite(narrow)):
        raise QuantizationError(f"scale must be a positive finite number, not {scale}")
    limits = np.iinfo(dtype)
    if int(zero_point) != zero_point or not limits.min <= zero_point <= limits.max:
        raise QuantizationError(f"zero point must be an integer from {limits.min} to {limits.max}, not {zero_point}")
