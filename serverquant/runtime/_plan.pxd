from libc.stdint cimport int64_t, uint64_t

from serverquant.blobs._blob cimport Blob, sq_shape, sq_step, sq_tensor


cdef class Step:
    """One planned operator. Families subclass nothing: they make a Step, fill `c` and a context, and name `kernel`."""
    cdef sq_step c
    cdef public object prepare
    cdef public object keep
    cdef public str kernel
    cdef public dict facts
    cdef public list parts
    cdef void* new_context(self, size_t nbytes) except NULL


# Write a message for SQ_ERROR and return it: `return fail(s, "index %lld is out of range", i)`.
cdef extern from "plan.h" nogil:
    int fail "sq_fail" (sq_step* step, const char* format, ...)


# ---- below: for other kinds of plans, not for operators --------------------------------------------------------------

# Scratch memory of one thread: its steps run one after the other.
cdef struct Arena:
    void* data
    size_t capacity

cdef struct Value:
    sq_shape shape
    uint64_t spec           # the mark that a blob carries while it has this shape

cdef struct Entry:
    sq_tensor* tensor
    int value
    const char* guard       # the values that the plan was made with, if it depends on them
    size_t guard_bytes

cdef struct Links:          # of a step: indices into Plan.values
    int* inputs
    int* outputs


cdef class Plan:
    cdef sq_step* steps
    cdef Links* links
    cdef Value* values
    cdef Value* backup      # of those that rebatch has changed
    cdef char* changed      # of a value: whether rebatch has
    cdef Entry* entries
    cdef int n_steps, n_values, n_entries
    cdef Arena arena
    cdef char error[256]
    cdef list _steps, _values, _entries
    cdef void* pools[2]
    cdef int at_step
    cdef public object rest, next
    cdef public list operators
    cdef _lay_value(self, int i)
    cdef _lay_entry(self, int i)
    cdef _lay_steps(self)
    cdef bint _matches(self) noexcept nogil
    cdef Value* _change(self, int value) noexcept nogil
    cdef bint _rebatch(self) noexcept nogil
    cdef bint _grows_in_place(self, int i) noexcept nogil
    cdef bint _rebatch_step(self, int i) noexcept nogil
    cdef int _turn(self, int i) noexcept nogil
    cdef int _walk(self, int i) noexcept nogil
    cdef _run_stamped(self, int64_t* stamps)
    cdef int _python_turn(self, int i, int status) except -1
