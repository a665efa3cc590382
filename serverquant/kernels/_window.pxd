from libc.stdint cimport int64_t

cdef extern from "serverquant/window.h" nogil:
    ctypedef struct sq_window:
        int64_t[3] in_ "in"
        int64_t[3] out
        int64_t[3] kernel
        int64_t[3] stride
        int64_t[3] dilation
        int64_t[3] pad

    int64_t sq_volume(const int64_t* sizes)


cdef class Window:
    cdef sq_window raw
    cdef readonly tuple in_sizes
    cdef readonly tuple out_sizes
    cdef tuple _floor_sizes(self, ends)
