"""Fills from random numbers: Caffe2's distributions, not its streams."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from serverquant._base.errors import ArgumentError, ShapeError
from serverquant.blobs import dtypes
from serverquant.blobs.spec import TENSOR, Spec
from serverquant.ops.fill.float import Fill
from serverquant.runtime.operator import Operator, PythonOperator
from serverquant.runtime.registry import register

FLOAT_MAX = float(np.finfo(np.float32).max)


def random_of(op: Operator) -> Any:
    """The process's random generator (`numpy.random.seed` makes it repeatable), or one with the seed that the
    operator's device option gives."""
    seed = op.definition.message.device_option.random_seed
    return np.random.RandomState(seed) if seed else np.random


def real_numbers(random: Any, low: float, high: float, dims: tuple[int, ...]) -> np.ndarray:
    """Uniform from low to high, whose distance must be a float."""
    if not float(high) - float(low) <= FLOAT_MAX:
        raise ArgumentError(f"min ({low}) and max ({high}) are further apart than floats go")
    return random.uniform(low, high, dims)


class RandomFill(Fill):
    """A fill from random numbers."""

    def setup(self) -> None:
        super().setup()
        self.random = random_of(self)


class Uniform(RandomFill):
    """Uniform from a lower to an upper end, which are arguments or two more inputs. `draw` makes the numbers."""

    def setup(self) -> None:
        super().setup()
        if len(self.inputs) not in (0, 1, 3):
            raise ArgumentError(f"takes no input, one, or three (shape, min and max), not {len(self.inputs)}")
        if len(self.inputs) == 3:
            for name in ("min", "max"):
                if self.given(name):
                    raise ArgumentError(f"argument {name} and an input for it cannot be given together")
        elif not self.args.min < self.args.max:
            raise ArgumentError(f"argument min ({self.args.min}) must be below max ({self.args.max})")

    def check_types(self, ins: list[Spec]) -> None:
        super().check_types(ins)
        for i in range(1, len(ins)):
            self.expect(ins, i, dtypes.name(self.dtype))
            if ins[i].size != 1:
                raise self.shape_error(ins, i, "one element")

    def run_shape(self, inputs: list[Any]) -> tuple[int, ...]:
        """Ends in the wrong order leave nothing of the first dim."""
        dims = super().run_shape(inputs)
        return (0, *dims[1:]) if len(inputs) == 3 and inputs[1].ravel()[0] > inputs[2].ravel()[0] else dims

    def fill(self, out: np.ndarray, *more: np.ndarray) -> None:
        low, high = (e.ravel()[0] for e in more) if more else (self.args.min, self.args.max)
        if out.size:
            out[...] = self.draw(low, high, out.shape)

    def draw(self, low: Any, high: Any, dims: tuple[int, ...]) -> np.ndarray:
        raise NotImplementedError


@register("UniformFill")
class UniformFill(Uniform):
    """Real numbers."""

    def draw(self, low: Any, high: Any, dims: tuple[int, ...]) -> np.ndarray:
        return real_numbers(self.random, low, high, dims)


@register("UniformIntFill")
class UniformIntFill(Uniform):
    """Whole numbers, both ends included."""

    dtype = dtypes.INT32

    def draw(self, low: Any, high: Any, dims: tuple[int, ...]) -> np.ndarray:
        return self.random.randint(int(low), int(high) + 1, dims, np.int64)


@register("UniqueUniformFill")
class UniqueUniformFill(RandomFill):
    """Whole numbers, no two the same."""

    def setup(self) -> None:
        super().setup()
        self.dtype = dtypes.INT32 if self.args.dtype is None else self.args.dtype
        if self.dtype not in (dtypes.INT32, dtypes.INT64):
            raise ArgumentError(f"argument dtype is {self.dtype}; it must be {dtypes.INT32} (int32) or {dtypes.INT64}")
        self.low, self.high = (self.definition.arguments.int(name, bits=64) for name in ("min", "max"))
        if not self.low < self.high:
            raise ArgumentError(f"argument min ({self.low}) must be below max ({self.high})")

    def check_types(self, ins: list[Spec]) -> None:
        super().check_types(ins)
        if len(ins) == 2:
            self.expect(ins, 1, dtypes.name(self.dtype))

    def fill(self, out: np.ndarray, *more: np.ndarray) -> None:
        avoid = more[0].ravel().tolist() if more else []
        taken = set(avoid)
        if len(taken) < len(avoid):
            raise ShapeError(f"input 1 has {len(avoid)} elements, of which only {len(taken)} differ")
        room = self.high - self.low + 1 - len(avoid)
        if out.size > room:
            raise ShapeError(
                f"{out.size} numbers from {self.low} to {self.high} without {len(avoid)} cannot all differ"
            )
        found: list[int] = []
        while len(found) < out.size:
            number = int(self.random.randint(self.low, self.high + 1, dtype=np.int64))
            if number not in taken:
                taken.add(number)
                found.append(number)
        out[...] = np.array(found, out.dtype).reshape(out.shape)


@register("Float16UniformFill")
class Float16UniformFill(RandomFill):
    """Uniform real numbers, rounded to half precision."""

    dtype = dtypes.FLOAT16

    def setup(self) -> None:
        super().setup()
        if not self.args.min < self.args.max:
            raise ArgumentError(f"argument min ({self.args.min}) must be below max ({self.args.max})")

    def fill(self, out: np.ndarray, *more: np.ndarray) -> None:
        out[...] = real_numbers(self.random, self.args.min, self.args.max, out.shape)


@register("GaussianFill")
class GaussianFill(RandomFill):
    """Normal with a mean and a standard deviation."""

    def setup(self) -> None:
        super().setup()
        if not self.args.std > 0:
            raise ArgumentError(f"argument std must be positive, not {self.args.std}")

    def fill(self, out: np.ndarray, *more: np.ndarray) -> None:
        out[...] = self.random.normal(self.args.mean, self.args.std, out.shape)


@register("XavierFill")
class XavierFill(RandomFill):
    """Uniform in +-sqrt(3 / fan_in)."""

    def fill(self, out: np.ndarray, *more: np.ndarray) -> None:
        if not out.ndim:
            raise ShapeError("XavierFill needs at least 1 dimension, not a scalar")
        bound = math.sqrt(3 * out.shape[0] / out.size) if out.size else 0.0
        out[...] = self.random.uniform(-bound, bound, out.shape)


@register("MSRAFill")
class MSRAFill(RandomFill):
    """Normal with standard deviation sqrt(2 / fan_out)."""

    def fill(self, out: np.ndarray, *more: np.ndarray) -> None:
        if out.ndim < 2:
            raise ShapeError(f"MSRAFill needs at least 2 dimensions, not shape {out.shape}")
        std = math.sqrt(2 * out.shape[1] / out.size) if out.size else 0.0
        out[...] = self.random.normal(0, std, out.shape)


@register("WeightedSample")
class WeightedSample(PythonOperator):
    """An index of each row, as often as its weight says; and the value there."""

    def setup(self) -> None:
        if len(self.inputs) != len(self.outputs):
            raise ArgumentError(f"{len(self.inputs)} inputs and {len(self.outputs)} outputs; there must be as many")
        self.random = random_of(self)

    def check_types(self, ins: list[Spec]) -> None:
        for i in range(len(ins)):
            self.expect(ins, i, "float")

    def output_type(self, ins: list[Spec], i: int) -> tuple[int, int]:
        return (dtypes.FLOAT if i else dtypes.INT32), TENSOR

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        masses = np.cumsum(inputs[0], axis=1, dtype=np.float32)
        for i, mass in enumerate(masses if outputs[0].size else ()):
            if not mass[-1] >= 0:
                raise ShapeError(f"the weights of row {i} add up to {mass[-1]}; they must not be negative")
            drawn = np.searchsorted(mass, np.float32(self.random.uniform(0, mass[-1])))
            outputs[0][i] = min(int(drawn), len(mass) - 1)
            if len(inputs) == 2:
                outputs[1][i] = inputs[1][i, outputs[0][i, 0]]
