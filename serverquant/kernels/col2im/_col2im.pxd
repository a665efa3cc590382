"""Columns to images and back: see col2im.h."""
from libc.stdint cimport int64_t

from serverquant.kernels._window cimport sq_window

cdef extern from "../kernels/col2im/col2im.h" nogil:
    ctypedef struct sq_col2im_job:
        const sq_window* window
        void* cols
        void* y
        const void* bias
        int64_t channels, groups, images

# y from cols; NHWC chooses the layouts of "pixels", else those of "planes".
cdef void col2im(const sq_col2im_job* job, bint nhwc) noexcept nogil
# The same of 32-bit whole numbers, modulo 2^32; "pixels" alone.
cdef void col2im_s32(const sq_col2im_job* job) noexcept nogil
# cols from y; groups = 1, no bias.
cdef void im2col(const sq_col2im_job* job, bint nhwc) noexcept nogil
