"""Rarer operators on tensors element by element: numpy bodies."""

from __future__ import annotations

from typing import Any

import numpy as np

from serverquant._base.errors import ArgumentError, DTypeError, OperatorError, ShapeError
from serverquant.blobs import dtypes
from serverquant.blobs.spec import TENSOR, Spec
from serverquant.kernels.reduce import _reduce
from serverquant.kernels.unary import _unary
from serverquant.ops._numeric import log, power
from serverquant.ops._types import NUMBERS, REALS, expect_alike, expect_plain
from serverquant.ops.eltwise.schema_more import sum_like_parts
from serverquant.runtime.operator import PythonOperator
from serverquant.runtime.registry import register


@register("Where")
class Where(PythonOperator):
    """Z = X where C, else Y."""

    def check_types(self, ins: list[Spec]) -> None:
        self.expect(ins, 0, "bool")
        self.expect(ins, 1, *NUMBERS, "bool", "string")
        self.expect(ins, 2, dtypes.name(ins[1].dtype))

    def output_type(self, ins: list[Spec], i: int) -> tuple[int, int]:
        return ins[1].dtype, TENSOR

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        c, x, y = inputs
        if self.args.broadcast_on_rows:
            c = c.reshape(-1, *[1] * (x.ndim - 1))
        outputs[0] = np.where(c, x, y)


@register("WeightedSum")
class WeightedSum(PythonOperator):
    """X_0 * weight_0 + X_1 * weight_1 + ..."""

    takes = "float"

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        terms = [x.reshape(inputs[0].shape) * w.flat[0] for x, w in zip(inputs[::2], inputs[1::2])]
        total = terms[0]
        for term in terms[1:]:
            total = total + term
        outputs[0][...] = total


@register("ScatterWeightedSum")
class ScatterWeightedSum(PythonOperator):
    """Weighted sums into the slices at indices, in place."""

    def check_types(self, ins: list[Spec]) -> None:
        for i in range(len(ins)):
            self.expect(ins, i, *(("int32", "int64") if i == 2 else ("float",)))

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        data, indices = outputs[0], inputs[2].ravel()
        bad = np.flatnonzero((indices < 0) | (indices >= len(data)))
        if bad.size:
            raise ShapeError(f"index {indices[bad[0]]} at position {bad[0]} is out of range 0 to {len(data) - 1}")
        first = inputs[1].flat[0]
        for at in indices if first != 1 else ():
            data[at] *= first
        for x, w in zip(inputs[3::2], inputs[4::2]):
            for at, row in zip(indices, x.reshape(indices.size, *data.shape[1:])):
                data[at] += w.flat[0] * row


@register("Glu")
class Glu(PythonOperator):
    """First half times the sigmoid of the second."""

    takes = "float"

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        value, gate = np.split(inputs[0], 2, self.args.dim)
        outputs[0][...] = value * _unary.py_map("sigmoid_f32", gate)


@register("BatchBoxCox")
class BatchBoxCox(PythonOperator):
    """Box-Cox transform of columns."""

    def check_types(self, ins: list[Spec]) -> None:
        expect_alike(self, ins, "float")

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        x = inputs[0].reshape(len(inputs[0]), inputs[1].size)
        y = outputs[0].reshape(x.shape)
        shifted = np.maximum(x + inputs[2].ravel(), np.float32(1e-6))
        for column, exponent in enumerate(inputs[1].ravel()):
            t = shifted[:, column]
            y[:, column] = log(t) if exponent == 0 else (power(t, exponent) - np.float32(1)) / exponent


@register("SquareRootDivide")
class SquareRootDivide(PythonOperator):
    """Rows divided by the square roots of their scales."""

    takes = ("float", "float|int32|int64")

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        scale = inputs[1].ravel()[: len(inputs[0])]
        if (bad := np.flatnonzero(~(scale >= 0))).size:
            raise OperatorError(f"scale {scale[bad[0]]} at position {bad[0]} is negative")
        # The reciprocal is taken in the root's own precision: double for integers.
        root = np.sqrt(scale if scale.dtype == np.float32 else scale.astype(np.float64))
        factor = np.where(scale == 0, 1, 1 / np.where(scale == 0, 1, root)).astype(np.float32)
        outputs[0][...] = inputs[0] * factor.reshape(-1, *[1] * (inputs[0].ndim - 1))


@register("PiecewiseLinearTransform")
class PiecewiseLinearTransform(PythonOperator):
    """Columns through functions of linear pieces."""

    takes = "float"

    def setup(self) -> None:
        given = [bool(getattr(self.args, name)) for name in ("bounds", "slopes", "intercepts")]
        if any(given) != all(given):
            raise ArgumentError("arguments bounds, slopes and intercepts must all be given, or none")
        if len(self.inputs) != (1 if all(given) else 4):
            raise ArgumentError(
                f"takes {1 if all(given) else 4} inputs, not {len(self.inputs)}: the pieces come as arguments or inputs"
            )
        self.fixed = None
        if all(given):
            self.fixed = self.pieces(*(np.float32(getattr(self.args, n)) for n in ("bounds", "slopes", "intercepts")))

    def pieces(self, bounds: np.ndarray, slopes: np.ndarray, intercepts: np.ndarray) -> tuple[np.ndarray, ...]:
        """Each with a row for a column of the input."""
        groups = bounds.size - slopes.size
        if slopes.size != intercepts.size or groups < 1 or slopes.size % groups or slopes.size < groups:
            raise ShapeError(
                f"{bounds.size} bounds, {slopes.size} slopes and {intercepts.size} intercepts do not go together: a "
                "column has as many slopes as intercepts, and one bound more"
            )
        if self.args.binary and groups != 1:
            raise ShapeError(f"with binary=1 there must be pieces for one column, not for {groups}")
        rows = bounds.reshape(groups, -1)
        if np.any(rows[:, 1:] < rows[:, :-1]):
            raise ArgumentError("the bounds of a column must rise")
        return rows, slopes.reshape(groups, -1), intercepts.reshape(groups, -1)

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        x, y = inputs[0], outputs[0]
        bounds, slopes, intercepts = self.fixed or self.pieces(*(v.ravel() for v in inputs[1:]))
        if self.args.binary:
            if x.ndim not in (1, 2) or (x.ndim == 2 and x.shape[1] not in (1, 2)):
                raise ShapeError(f"with binary=1 the input must be (N), (N, 1) or (N, 2), not {x.shape}")
            y[...] = self.transform(x, bounds[0], slopes[0], intercepts[0])
            if x.ndim == 2 and x.shape[1] == 2:
                y[:, 0] = np.float32(1) - y[:, 1]
            return
        if x.ndim != 2 or x.shape[1] != len(bounds):
            raise ShapeError(f"the input must be a matrix of {len(bounds)} columns, not {x.shape}")
        for column in range(len(bounds)):
            y[:, column] = self.transform(x[:, column], bounds[column], slopes[column], intercepts[column])

    @staticmethod
    def transform(x: np.ndarray, bounds: np.ndarray, slopes: np.ndarray, intercepts: np.ndarray) -> np.ndarray:
        below, above = x <= bounds[0], x >= bounds[-1]
        piece = np.clip(np.searchsorted(bounds, x, side="left") - 1, 0, slopes.size - 1)
        piece = np.where(above & ~below, slopes.size - 1, piece)
        inside = np.where(below, bounds[0], np.where(above, bounds[-1], x))
        return slopes[piece] * inside + intercepts[piece]


@register("StumpFunc")
class StumpFunc(PythonOperator):
    """low_value up to the threshold, else high_value."""

    takes = "float"

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        low, high = np.float32(self.args.low_value), np.float32(self.args.high_value)
        outputs[0][...] = np.where(inputs[0] <= np.float32(self.args.threshold), low, high)


@register("StumpFuncIndex")
class StumpFuncIndex(PythonOperator):
    """Places on both sides of the threshold."""

    takes = "float"

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        low = inputs[0].ravel() <= np.float32(self.args.threshold)
        outputs[:] = np.flatnonzero(low).astype(np.int64), np.flatnonzero(~low).astype(np.int64)


@register("MakeTwoClass")
class MakeTwoClass(PythonOperator):
    """(1 - X, X)."""

    takes = "float"

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        outputs[0][..., 0] = np.float32(1) - inputs[0]
        outputs[0][..., 1] = inputs[0]


@register("WeightScale")
class WeightScale(PythonOperator):
    """w times scale, in some iterations."""

    takes = ("float", "int64")

    def setup(self) -> None:
        read = self.definition.arguments.int
        self.stepsize = read("stepsize", 2**63 - 1, bits=64)
        self.end = read("upper_bound_iter", 2**63 - 1, bits=64)
        if self.stepsize == 0:
            raise ArgumentError("argument stepsize must not be 0")

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        if inputs[1].size < 1:
            raise ShapeError("input 1, the iteration, has no element")
        iteration = int(inputs[1].flat[0]) + 1
        scaled = iteration % self.stepsize == 0 and iteration < self.end
        outputs[0][...] = inputs[0] * np.float32(self.args.scale) if scaled else inputs[0]


@register("ScaleBlobs")
class ScaleBlobs(PythonOperator):
    """Every input times scale."""

    takes = "float"

    def setup(self) -> None:
        if len(self.inputs) != len(self.outputs):
            raise ArgumentError(f"has {len(self.inputs)} inputs, but {len(self.outputs)} outputs")

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        for x, y in zip(inputs, outputs):
            np.multiply(x, np.float32(self.args.scale), out=y)


@register("Find")
class Find(PythonOperator):
    """The last place of each query."""

    def check_types(self, ins: list[Spec]) -> None:
        expect_alike(self, ins, "int32", "int64")

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        last = {value: place for place, value in enumerate(inputs[0].ravel().tolist())}
        found = [last.get(value, self.args.missing_value) for value in inputs[1].ravel().tolist()]
        outputs[0][...] = np.array(found, outputs[0].dtype).reshape(outputs[0].shape)


@register("IsMemberOf")
class IsMemberOf(PythonOperator):
    """Whether X is in the set."""

    takes = "int32|int64|bool|string"

    def setup(self) -> None:
        if self.args.dtype not in (None, dtypes.INT32, dtypes.INT64, dtypes.BOOL, dtypes.STRING):
            raise ArgumentError(f"argument dtype is {self.args.dtype}; expected int32, int64, bool or string")
        arguments = self.definition.arguments
        if arguments.kind("value") == "strings":
            self.members = {bytes(v) for v in arguments.strings("value")}
        else:
            self.members = set(arguments.ints("value", [], bits=64))

    def check_types(self, ins: list[Spec]) -> None:
        super().check_types(ins)
        if self.args.dtype not in (None, 0, ins[0].dtype):
            raise DTypeError(f"{self.input_text(ins, 0)}: argument dtype says {dtypes.name(self.args.dtype)}")

    def output_type(self, ins: list[Spec], i: int) -> tuple[int, int]:
        return dtypes.BOOL, TENSOR

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        values = inputs[0].ravel().tolist()
        found = [(v.encode() if isinstance(v, str) else v) in self.members for v in values]
        outputs[0][...] = np.array(found, np.bool_).reshape(outputs[0].shape)


@register("SumReduceLike")
class SumReduceLike(PythonOperator):
    """The sum over the axes that B does not have."""

    def check_types(self, ins: list[Spec]) -> None:
        self.expect(ins, 0, *REALS)
        expect_plain(self, ins, 1)

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        a, b = inputs
        pre, mid, post = sum_like_parts(self, [Spec(a.shape), Spec(b.shape)])
        kernel = "reduce_sum_f32" if a.dtype == np.float32 else "reduce_sum_f64"
        rows = _reduce.py_reduce(kernel, a.reshape(pre * mid, post, 1))
        outputs[0] = _reduce.py_reduce(kernel, rows.reshape(1, pre, mid)).reshape(b.shape)
