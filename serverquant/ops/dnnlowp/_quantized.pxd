"""Operators that compute on bytes what a float operator computes on floats: see _quantized.pyx."""
from libc.stdint cimport int64_t, uint8_t, uint32_t

from serverquant.blobs._blob cimport sq_step, sq_tensor
from serverquant.ops.dnnlowp._params cimport Params
from serverquant.runtime._plan cimport Step


# A second output of bytes.
cdef struct Second:
    bint there
    Params params
    uint8_t* y              # set before core runs, like what follows
    float scale
    int zero_point

# An input as bytes, with its parameters. Inputs that are not quantized have q = NULL.
cdef struct QInput:
    const uint8_t* q
    float scale
    int zero_point

# y[all of output 0] from the inputs, in these parameters. SQ_OK or SQ_ERROR.
ctypedef int (*core_fn)(sq_step* s, const QInput* ins, uint8_t* y, float scale, int zero_point,
                        void* scratch) noexcept nogil

# The beginning of an operator's context.
cdef struct Quantized:
    Params params
    core_fn core
    int64_t (*extra)(sq_step*) noexcept nogil   # bytes of scratch that core needs; NULL: none
    # bit i: input i is one of bytes, or of floats to be quantized; bit 31 stands for all from 31 on
    uint32_t quantized
    bint direct                                 # core writes output 0 itself, as floats
    bint bare                                   # an empty output has the parameters of a new tensor, as in Caffe2
    bint keeps                                  # output 0 has input 0's parameters
    Second second                               # output 1, if it is one of bytes
    sq_step floats                              # the float operator's step


# What a step made by new_quantized() runs.
cdef int run_quantized(sq_step* s) noexcept nogil

# The float operator's step on bytes: inputs that are quantized, and output 0. For operators that move elements. `room` is
# tensors_room() bytes.
cdef int run_on_bytes(sq_step* s, const uint8_t* const* ins, uint8_t* y, void* room) noexcept nogil
cdef int64_t tensors_room(const sq_step* s) noexcept nogil

# A step with a context of `nbytes` that begins with a Quantized; `floats` is the float operator's step, kept alive.
cdef Quantized* new_quantized(Step step, size_t nbytes, options, Step floats, core_fn core,
                              uint32_t quantized, bint relu=?) except NULL
