"""Masks: numpy bodies."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from serverquant._base.errors import ArgumentError, ShapeError
from serverquant.blobs import dtypes
from serverquant.blobs.spec import TENSOR, Spec
from serverquant.ops._arrays import INDEX, Arrays, check_dims, check_lengths
from serverquant.runtime.operator import PythonOperator
from serverquant.runtime.registry import register
from serverquant.runtime.schema import axis_of


@register("BooleanMask")
class BooleanMask(Arrays):
    """Slices where the mask is true."""

    accepts = ((), ("bool",))
    types = (None, dtypes.INT64)

    def compute(self, *inputs: Any) -> Any:
        data, mask = inputs
        check_dims(mask, 1, "the mask")
        if data.shape[:1] != mask.shape:
            raise ShapeError(f"the mask has {len(mask)} elements for data of shape {data.shape}")
        return [data[mask], np.flatnonzero(mask)][: len(self.outputs)]


@register("BooleanMaskLengths")
class BooleanMaskLengths(Arrays):
    """Lengths of what stays."""

    accepts = (INDEX, ("bool",))

    def compute(self, *inputs: Any) -> Any:
        lengths, mask = inputs
        check_dims(mask, 1, "the mask")
        check_lengths(lengths, len(mask), "elements of the mask")
        ends = np.concatenate([[0], np.cumsum(lengths)])
        kept = np.concatenate([[0], np.cumsum(mask)])[ends]
        return np.diff(kept).astype(lengths.dtype)


@register("BooleanUnmask")
class BooleanUnmask(Arrays):
    """Values back to their places."""

    def setup(self) -> None:
        if len(self.inputs) % 2:
            raise ArgumentError(f"takes masks and values in pairs, not {len(self.inputs)} inputs")

    def check_types(self, ins: list[Spec]) -> None:
        for i in range(len(ins)):
            self.expect(ins, i, dtypes.name(ins[1].dtype) if i % 2 else "bool")

    def output_type(self, ins: list[Spec], i: int) -> tuple[int, int]:
        return ins[1].dtype, TENSOR

    def compute(self, *inputs: Any) -> Any:
        left = np.ones(len(inputs[0]), bool)
        out = np.empty(len(left), inputs[1].dtype)
        for mask, values in zip(inputs[::2], inputs[1::2]):
            places = np.flatnonzero(mask & left)
            if len(places) != len(values):
                raise ShapeError(f"a mask takes {len(places)} places, but has {len(values)} values")
            out[places] = values
            left[places] = False
        if left.any():
            raise ShapeError(f"no mask is true at position {int(np.argmax(left))}")
        return out


# (row, column) -> whether an element is overwritten
TRIANGLES: dict[str, Any] = {
    "upper": np.greater,
    "lower": np.less,
    "upperdiag": np.greater_equal,
    "lowerdiag": np.less_equal,
}


@register("SequenceMask")
class SequenceMask(PythonOperator):
    """A part of every row is overwritten."""

    def setup(self) -> None:
        args = self.args
        if args.mode not in ("sequence", "window", *TRIANGLES):
            raise ArgumentError(
                f'argument mode is "{args.mode}"; it must be sequence, window or {", ".join(TRIANGLES)}'
            )
        if args.repeat_from_axis is not None and (args.mode != "sequence" or args.batch is not None):
            raise ArgumentError("argument repeat_from_axis goes with mode sequence, and not with batch")
        if args.mode not in TRIANGLES and len(self.inputs) < 2:
            raise ArgumentError(f"mode {args.mode} needs a second input")

    def check_types(self, ins: list[Spec]) -> None:
        self.expect(ins, 0, "float")
        if len(ins) == 2 and self.args.mode not in TRIANGLES:
            self.expect(ins, 1, "int32")

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        dims = inputs[0].shape
        axis, batch, repeat = self._axes(len(dims))
        rows, columns = math.prod(dims[batch:axis]), math.prod(dims[axis:repeat])
        grid = (math.prod(dims[:batch]), rows, columns, math.prod(dims[repeat:]))
        gone = self._overwritten(rows, columns, inputs)[:, :, None]
        fill = np.float32(0 if self.args.grad else self.args.fill_val)
        outputs[0][...] = np.where(gone, fill, inputs[0].reshape(grid)).reshape(dims)

    def _axes(self, ndim: int) -> tuple[int, int, int]:
        """Where the columns, the rows and what repeats each of them begin."""
        args = self.args
        axis = axis_of(args.axis, ndim)
        batch = 0 if args.batch is None else axis_of(args.batch, ndim, "batch") + 1
        repeat = ndim if args.repeat_from_axis is None else axis_of(args.repeat_from_axis, ndim, "repeat_from_axis")
        if args.batch is not None and batch > axis:
            raise ShapeError(f"argument batch ({batch - 1}) must be before axis ({axis})")
        if repeat < axis:
            raise ShapeError(f"argument repeat_from_axis ({repeat}) must not be before axis ({axis})")
        return axis, batch, repeat

    def _overwritten(self, rows: int, columns: int, inputs: list[Any]) -> np.ndarray:
        row, column = np.arange(rows)[:, None], np.arange(columns)
        mode, radius = self.args.mode, self.args.radius
        if mode in TRIANGLES:
            return TRIANGLES[mode](column, row)
        given = inputs[1].ravel().astype(np.int64)
        if len(given) < rows and columns:
            raise ShapeError(f"input 1 has {len(given)} elements for {rows} rows")
        centre = given[:rows, None]
        return column >= centre if mode == "sequence" else (column > centre + radius) | (column < centre - radius)


class Told(Arrays):
    """What the input's shape says."""

    types = (dtypes.BOOL,)


@register("IsEmpty")
class IsEmpty(Told):
    """No elements."""

    def compute(self, *inputs: Any) -> Any:
        return np.array(inputs[0].size == 0)


@register("HasElements")
class HasElements(Told):
    """Elements in any input."""

    def compute(self, *inputs: Any) -> Any:
        return np.array(any(x.size for x in inputs))
