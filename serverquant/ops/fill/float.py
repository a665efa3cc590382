"""Fills: numpy bodies, since a net runs them once. Values of given fills are copied from the file into the blob."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from serverquant._base.errors import ArgumentError, ShapeError
from serverquant.blobs import dtypes
from serverquant.blobs._blob import check_qparams
from serverquant.blobs.spec import EMPTY, INT8, TENSOR, Spec
from serverquant.blobs.store import Int8
from serverquant.runtime._plan import Step
from serverquant.runtime.operator import PythonOperator
from serverquant.runtime.registry import register

GIVEN = {
    "GivenTensorFill": dtypes.FLOAT,
    "GivenTensorBoolFill": dtypes.BOOL,
    "GivenTensorDoubleFill": dtypes.DOUBLE,
    "GivenTensorInt16Fill": dtypes.INT16,
    "GivenTensorInt64Fill": dtypes.INT64,
    "GivenTensorIntFill": dtypes.INT32,
    "GivenTensorStringFill": dtypes.STRING,
    "GivenTensorByteStringToUInt8Fill": dtypes.UINT8,
}
FLOAT_MAX = float(np.finfo(np.float32).max)


class Fill(PythonOperator):
    """A fill of one data type, `self.dtype`."""

    dtype = dtypes.FLOAT
    kind = TENSOR

    def output_type(self, ins: list[Spec], i: int) -> tuple[int, int]:
        return self.dtype, self.kind

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        if outputs[0] is None:
            outputs[0] = np.empty(self.run_shape(inputs), dtypes.NUMPY[self.dtype])
        self.fill(outputs[0].data if self.kind == INT8 else outputs[0])

    def run_shape(self, inputs: list[Any]) -> tuple[int, ...]:
        """The shape when only running tells it: the input's values, or that of a string tensor."""
        if inputs and self.args.input_as_shape:
            return tuple(int(d) for d in inputs[0]) + tuple(self.args.extra_shape)
        if not inputs:
            return tuple(self.args.shape)
        data = inputs[0].data if isinstance(inputs[0], Int8) else inputs[0]
        return np.shape(data) + tuple(self.args.extra_shape)

    def fill(self, out: np.ndarray) -> None:
        """Write all elements of the output."""
        raise NotImplementedError


class GivenValues(Fill):
    """A fill from the argument "values". Their number is checked before there is memory for the output: the shape may
    be a lie."""

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        if outs[0].kind != EMPTY:
            self.values(outs[0].dims)
        return super().plan(ins, outs)

    def field(self) -> str:
        """The field of Argument that holds the values."""
        return {dtypes.FLOAT: "floats", dtypes.DOUBLE: "floats", dtypes.STRING: "strings"}.get(self.dtype, "ints")

    def values(self, dims: tuple[int, ...]) -> Any:
        """What the argument holds, as many elements as `dims` have: a Payload, or strings."""
        arguments, field = self.definition.arguments, self.field()
        held = arguments.kind("values")
        if held and held != field:
            raise ArgumentError(f'argument "values" is in field {held}, expected {field}')
        values = arguments.strings("values", []) if field == "strings" else arguments.payload("values")
        count = 0 if values is None else len(values) if field == "strings" else values.count
        if count != math.prod(dims):
            raise ShapeError(f'argument "values" has {count} elements, but shape {dims} has {math.prod(dims)}')
        return values

    def fill(self, out: np.ndarray) -> None:
        values = self.values(out.shape)
        if self.field() == "strings":
            out[...] = np.array(values, object).reshape(out.shape)
        elif out.size:
            values.copy_into(out)


@register(
    "GivenTensorFill",
    "GivenTensorBoolFill",
    "GivenTensorDoubleFill",
    "GivenTensorInt16Fill",
    "GivenTensorInt64Fill",
    "GivenTensorIntFill",
    "GivenTensorStringFill",
)
class GivenFill(GivenValues):
    """Output = values."""

    def setup(self) -> None:
        self.dtype = GIVEN[self.type]
        if getattr(self.args, "dtype", None) is not None:
            self.dtype = self.args.dtype
        if self.dtype not in dtypes.NUMPY:
            raise ArgumentError(f"argument dtype is {self.dtype}, which is no data type of a tensor")


@register("GivenTensorByteStringToUInt8Fill")
class ByteStringFill(GivenValues):
    """Output = the bytes of the first string in values."""

    dtype = dtypes.UINT8

    def values(self, dims: tuple[int, ...]) -> Any:
        strings = self.definition.arguments.strings("values", [])
        data = np.frombuffer(strings[0] if strings else b"", np.uint8)
        if data.size != math.prod(dims):
            raise ShapeError(f'argument "values" has {data.size} bytes, but shape {dims} needs {math.prod(dims)}')
        return data

    def fill(self, out: np.ndarray) -> None:
        out[...] = self.values(out.shape).reshape(out.shape)


@register("ConstantFill")
class ConstantFill(Fill):
    """All elements are one value."""

    def setup(self) -> None:
        arguments = self.definition.arguments
        held = arguments.kind("value")
        if self.args.dtype is not None:
            self.dtype = self.args.dtype
        elif held is not None:
            if held not in ("f", "i"):
                raise ArgumentError(f'argument "value" is in field {held}; without dtype it must be a number')
            self.dtype = dtypes.FLOAT if held == "f" else dtypes.INT64
        if self.dtype not in dtypes.NUMPY:
            raise ArgumentError(f"argument dtype is {self.dtype}, which is no data type of a tensor")
        if self.dtype == dtypes.STRING:
            self.value: Any = arguments.bytes("value", b"")
        elif self.dtype in (dtypes.FLOAT, dtypes.DOUBLE):
            self.value = arguments.float("value", 0.0)
        else:
            self.value = arguments.int("value", 0)

    def fill(self, out: np.ndarray) -> None:
        out[...] = self.value


class RandomFill(Fill):
    """A fill from the process's random generator (`numpy.random.seed` makes it repeatable), or from the seed that the
    operator's device option gives."""

    def setup(self) -> None:
        seed = self.definition.message.device_option.random_seed
        self.random = np.random.RandomState(seed) if seed else np.random


@register("UniformFill")
class UniformFill(RandomFill):
    """Uniform in [min, max]."""

    def setup(self) -> None:
        super().setup()
        if not self.args.min <= self.args.max:
            raise ArgumentError(f"argument min ({self.args.min}) must not exceed max ({self.args.max})")
        if self.args.max - self.args.min > FLOAT_MAX:
            raise ArgumentError(f"min ({self.args.min}) and max ({self.args.max}) are further apart than floats go")

    def fill(self, out: np.ndarray) -> None:
        out[...] = self.random.uniform(self.args.min, self.args.max, out.shape)


@register("GaussianFill")
class GaussianFill(RandomFill):
    """Normal with a mean and a standard deviation."""

    def setup(self) -> None:
        super().setup()
        if not self.args.std > 0:
            raise ArgumentError(f"argument std must be positive, not {self.args.std}")

    def fill(self, out: np.ndarray) -> None:
        out[...] = self.random.normal(self.args.mean, self.args.std, out.shape)


@register("XavierFill")
class XavierFill(RandomFill):
    """Uniform in +-sqrt(3 / fan_in)."""

    def fill(self, out: np.ndarray) -> None:
        if not out.ndim:
            raise ShapeError("XavierFill needs at least 1 dimension, not a scalar")
        bound = math.sqrt(3 * out.shape[0] / out.size) if out.size else 0.0
        out[...] = self.random.uniform(-bound, bound, out.shape)


@register("MSRAFill")
class MSRAFill(RandomFill):
    """Normal with standard deviation sqrt(2 / fan_out)."""

    def fill(self, out: np.ndarray) -> None:
        if out.ndim < 2:
            raise ShapeError(f"MSRAFill needs at least 2 dimensions, not shape {out.shape}")
        std = math.sqrt(2 * out.shape[1] / out.size) if out.size else 0.0
        out[...] = self.random.normal(0, std, out.shape)


class Int8Fill(GivenValues):
    """An Int8 tensor of given values."""

    kind = INT8

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        super().run(inputs, outputs)
        outputs[0] = type(outputs[0])(outputs[0].data, self.args.Y_scale, self.args.Y_zero_point)


@register("Int8GivenTensorFill")
class Int8GivenTensorFill(Int8Fill):
    """uint8 data from one byte string."""

    dtype = dtypes.UINT8

    def setup(self) -> None:
        check_qparams(self.args.Y_scale, self.args.Y_zero_point, np.uint8)

    def field(self) -> str:
        return "s"


@register("Int8GivenIntTensorFill")
class Int8GivenIntTensorFill(Int8Fill):
    """int32 data from integers."""

    dtype = dtypes.INT32

    def setup(self) -> None:
        check_qparams(self.args.Y_scale, self.args.Y_zero_point, np.int32)
