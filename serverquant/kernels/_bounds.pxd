from libc.math cimport INFINITY

cdef extern from "serverquant/bounds.h" nogil:
    ctypedef struct sq_bounds:
        float lo, hi


# Of a pair (lo, hi); None for no bounds.
cdef inline sq_bounds read_bounds(pair):
    cdef sq_bounds bounds
    bounds.lo = -INFINITY if pair is None else pair[0]
    bounds.hi = INFINITY if pair is None else pair[1]
    return bounds
