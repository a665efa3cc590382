"""Non-maximum suppression. See boxes.h.

Bounds are not checked here in any build: the address of an empty array's first element is taken, never read.
"""
cimport cython
from libc.stdint cimport int32_t

import numpy as np

from serverquant._base.errors import ShapeError

cdef extern from "boxes.h" nogil:
    enum:
        SQ_BOXES_ROOM
        SQ_NMS_LINEAR
        SQ_NMS_GAUSSIAN
    ctypedef struct sq_boxes:
        const float* boxes
        long long count
        int columns
        float plus_one

    long long sq_nms(const sq_boxes* b, const int32_t* order, long long n, float threshold, long long top,
                     int32_t* keep, float* room)
    long long sq_soft_nms(const sq_boxes* b, float* scores, int32_t* pending, long long n, int method, float sigma,
                          float threshold, float least, int32_t* keep, float* room)
    double sq_rotated_common(const float* box1, const float* box2)


@cython.boundscheck(False)
cdef int look_at(sq_boxes* b, const float[:, ::1] boxes, const int32_t[::1] chosen, bint plus_one) except -1:
    """Fill `b`; ShapeError unless `chosen` are rows of `boxes`, each of 4 or 5 columns."""
    cdef Py_ssize_t i
    b.boxes, b.count, b.columns, b.plus_one = &boxes[0, 0], boxes.shape[0], boxes.shape[1], plus_one
    if b.columns not in (4, 5):
        raise ShapeError(f"boxes have 4 columns, or 5 if they are rotated, not {b.columns}")
    for i in range(chosen.shape[0]):
        if not 0 <= chosen[i] < b.count:
            raise ShapeError(f"there is no box {chosen[i]} among {b.count}")
    if chosen.shape[0] > b.count:
        raise ShapeError(f"{chosen.shape[0]} of {b.count} boxes")
    return 0


@cython.boundscheck(False)
def nms(const float[:, ::1] boxes, const int32_t[::1] order, float threshold, long long top, bint plus_one):
    """Rows of `boxes` that stay, int32, best first: `order` has the candidates, best first. top < 0: no limit."""
    cdef sq_boxes b
    look_at(&b, boxes, order, plus_one)
    kept, scratch = np.empty(order.shape[0], np.int32), np.empty(SQ_BOXES_ROOM * boxes.shape[0], np.float32)
    cdef int32_t[::1] keep = kept
    cdef float[::1] room = scratch
    cdef long long n
    with nogil:
        n = sq_nms(&b, &order[0], order.shape[0], threshold, top, &keep[0], &room[0])
    return kept[:n]


@cython.boundscheck(False)
def soft_nms(const float[:, ::1] boxes, float[::1] scores, const int32_t[::1] chosen, bint gaussian, float sigma,
             float threshold, float least, bint plus_one):
    """Rows of `boxes` that stay, int32, best first, of those in `chosen`; their scores are changed in place."""
    cdef sq_boxes b
    look_at(&b, boxes, chosen, plus_one)
    if scores.shape[0] != boxes.shape[0]:
        raise ShapeError(f"{scores.shape[0]} scores for {boxes.shape[0]} boxes")
    used, kept = np.array(chosen, np.int32), np.empty(chosen.shape[0], np.int32)
    scratch = np.empty(SQ_BOXES_ROOM * boxes.shape[0], np.float32)
    cdef int32_t[::1] pending = used
    cdef int32_t[::1] keep = kept
    cdef float[::1] room = scratch
    cdef int method = SQ_NMS_GAUSSIAN if gaussian else SQ_NMS_LINEAR
    cdef long long n
    with nogil:
        n = sq_soft_nms(&b, &scores[0], &pending[0], chosen.shape[0], method, sigma, threshold, least, &keep[0], &room[0])
    return kept[:n]


@cython.boundscheck(False)
def rotated_common(const float[::1] box1, const float[::1] box2) -> float:
    """The area that two rotated boxes have in common."""
    if box1.shape[0] != 5 or box2.shape[0] != 5:
        raise ShapeError("a rotated box has 5 numbers")
    return sq_rotated_common(&box1[0], &box2[0])
