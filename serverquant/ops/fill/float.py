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
from serverquant.ops._types import NUMBERS as NUMBER_TYPES
from serverquant.ops._types import expect_alike
from serverquant.ops.fill.schema import range_length, shape_from
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


class Fill(PythonOperator):
    """A fill of one data type, `self.dtype`."""

    dtype = dtypes.FLOAT
    kind = TENSOR

    def setup(self) -> None:
        """Caffe2's rules for the arguments that give the shape."""
        args = self.args
        if self.inputs and args.shape:
            raise ArgumentError("argument shape and an input cannot be given together")
        if not self.inputs:
            for name in ("extra_shape", "input_as_shape"):
                if getattr(args, name, None):
                    raise ArgumentError(f"argument {name} needs an input")

    def output_type(self, ins: list[Spec], i: int) -> tuple[int, int]:
        return self.dtype, self.kind

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        if self.kind == TENSOR:
            dims, numpy_type = self.run_shape(inputs), dtypes.NUMPY[self.dtype]
            if outputs[0] is None or outputs[0].shape != dims or outputs[0].dtype != numpy_type:
                outputs[0] = np.empty(dims, numpy_type)
        self.fill(outputs[0].data if self.kind == INT8 else outputs[0], *inputs[1:])

    def run_shape(self, inputs: list[Any]) -> tuple[int, ...]:
        """The shape as it is when the operator runs, which may follow from the first input's values."""
        if inputs and self.args.input_as_shape:
            return shape_from(inputs[0], self.args.extra_shape)
        if not inputs:
            return tuple(self.args.shape)
        data = inputs[0].data if isinstance(inputs[0], Int8) else inputs[0]
        return np.shape(data) + tuple(self.args.extra_shape)

    def fill(self, out: np.ndarray, *more: np.ndarray) -> None:
        """Write all elements of the output; `more`: the inputs behind the first one."""
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

    def fill(self, out: np.ndarray, *more: np.ndarray) -> None:
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
        super().setup()
        self.dtype = GIVEN[self.type]
        if getattr(self.args, "dtype", None) is not None:
            self.dtype = self.args.dtype
        if self.dtype not in dtypes.NUMPY:
            raise ArgumentError(f"argument dtype is {self.dtype}, which is no data type of a tensor")


@register("GivenTensorByteStringToUInt8Fill")
class ByteStringFill(GivenValues):
    """Output = the first bytes of the first string in values."""

    dtype = dtypes.UINT8

    def values(self, dims: tuple[int, ...]) -> Any:
        strings = self.definition.arguments.strings("values", [])
        data = np.frombuffer(strings[0] if strings else b"", np.uint8)
        if data.size < math.prod(dims):
            raise ShapeError(f'argument "values" has {data.size} bytes, but shape {dims} needs {math.prod(dims)}')
        return data[: math.prod(dims)]

    def fill(self, out: np.ndarray, *more: np.ndarray) -> None:
        out[...] = self.values(out.shape).reshape(out.shape)


# What ConstantFill and DiagonalFill make: Caffe2's list.
NUMBERS = {
    dtypes.FLOAT,
    dtypes.DOUBLE,
    dtypes.BOOL,
    dtypes.INT8,
    dtypes.INT16,
    dtypes.INT32,
    dtypes.INT64,
    dtypes.UINT8,
    dtypes.UINT16,
}


class ValueFill(Fill):
    """A fill with one number: `self.value`, of the type `dtype`, or of that of argument value."""

    def setup(self) -> None:
        super().setup()
        arguments = self.definition.arguments
        held = arguments.kind("value")
        if self.args.dtype is not None:
            self.dtype = self.args.dtype
        elif held is not None:
            if held not in ("f", "i"):
                raise ArgumentError(f'argument "value" is in field {held}; without dtype it must be a number')
            self.dtype = dtypes.FLOAT if held == "f" else dtypes.INT64
        self.value = self.read_value(arguments)

    def read_value(self, arguments: Any) -> Any:
        if self.dtype not in NUMBERS:
            raise ArgumentError(f"argument dtype is {self.dtype}; {self.type} makes no tensor of that data type")
        if self.dtype in (dtypes.FLOAT, dtypes.DOUBLE):
            return arguments.float("value", 0.0)
        if self.dtype == dtypes.BOOL:
            return arguments.bool("value", False)
        kind = np.iinfo(dtypes.NUMPY[self.dtype])
        value = arguments.int("value", 0, bits=64)
        if not kind.min <= value <= kind.max:
            raise ArgumentError(f'argument "value" is {value}, which does not fit {dtypes.name(self.dtype)}')
        return value


@register("ConstantFill")
class ConstantFill(ValueFill):
    """All elements are one value."""

    def read_value(self, arguments: Any) -> Any:
        if self.dtype != dtypes.STRING:
            return super().read_value(arguments)
        if len(self.inputs) == 2:
            raise ArgumentError("a second input gives numbers, not strings")
        return arguments.bytes("value", b"")

    def check_types(self, ins: list[Spec]) -> None:
        super().check_types(ins)
        if len(ins) == 2:
            self.expect(ins, 1, dtypes.name(self.dtype))
            if ins[1].size != 1:
                raise self.shape_error(ins, 1, "one element, the value")

    def fill(self, out: np.ndarray, *more: np.ndarray) -> None:
        out[...] = more[0].ravel()[0] if more else self.value


@register("DiagonalFill")
class DiagonalFill(ValueFill):
    """One value on the diagonal, 0 elsewhere."""

    def fill(self, out: np.ndarray, *more: np.ndarray) -> None:
        if out.ndim < 2 or (out.ndim > 2 and len(set(out.shape)) > 1):
            raise ShapeError(f"shape {out.shape} has no diagonal: it takes 2 dimensions, or more that are equal")
        strides = np.cumprod((1, *out.shape[:0:-1]))
        flat = np.zeros(out.size, out.dtype)
        flat[:: int(strides.sum())] = self.value  # the diagonal goes on in a new column below the first square
        out[...] = flat.reshape(out.shape)


@register("RangeFill")
class RangeFill(Fill):
    """0, 1, 2, ..."""

    def fill(self, out: np.ndarray, *more: np.ndarray) -> None:
        out[...] = np.arange(out.size).reshape(out.shape)


@register("Float16ConstantFill")
class Float16ConstantFill(Fill):
    """All elements are one value, rounded to half precision."""

    dtype = dtypes.FLOAT16

    def fill(self, out: np.ndarray, *more: np.ndarray) -> None:
        with np.errstate(over="ignore"):
            out[...] = np.float32(self.args.value)


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
        super().setup()
        check_qparams(self.args.Y_scale, self.args.Y_zero_point, np.uint8)

    def field(self) -> str:
        return "s"


@register("Int8GivenIntTensorFill")
class Int8GivenIntTensorFill(Int8Fill):
    """int32 data from integers."""

    dtype = dtypes.INT32

    def setup(self) -> None:
        super().setup()
        check_qparams(self.args.Y_scale, self.args.Y_zero_point, np.int32)


@register("Range")
class Range(PythonOperator):
    """Numbers in steps."""

    def check_types(self, ins: list[Spec]) -> None:
        expect_alike(self, ins, *NUMBER_TYPES)

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        start, stop, step = (n.ravel()[0] for n in _range_inputs(inputs))
        count = range_length(start, stop, step)
        outputs[0] = np.arange(count).astype(start.dtype) * step + start


def _range_inputs(inputs: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(start, stop, step), 0 and 1 where they are missing."""
    if len(inputs) == 3:
        return inputs[0], inputs[1], inputs[2]
    one = np.ones(1, inputs[0].dtype)
    return (inputs[0], inputs[1], one) if len(inputs) == 2 else (one - one, inputs[0], one)


@register("SinusoidPositionEncoding")
class SinusoidPositionEncoding(PythonOperator):
    """Waves of many lengths, told apart by cos and sin."""

    def setup(self) -> None:
        if self.args.embedding_size < 1:
            raise ArgumentError(f"argument embedding_size is {self.args.embedding_size}; it must be at least 1")

    def check_types(self, ins: list[Spec]) -> None:
        self.expect(ins, 0, "int32", "int64")

    def output_type(self, ins: list[Spec], i: int) -> tuple[int, int]:
        return dtypes.FLOAT, TENSOR

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        if not outputs[0].size:
            return
        size, one = self.args.embedding_size, np.float32(1)
        position = np.log(inputs[0][:, :1].astype(np.float32))
        last = position - np.log(np.float32(self.args.alpha)) * ((np.float32(size) - one) / np.float32(size))
        steps = (last - position) / np.float32(max(size - 1, 1)) * np.arange(size, dtype=np.float32)
        angles = np.exp(position + steps)
        angles[:, 1::2] += np.float32(np.pi / 2)
        outputs[0][...] = (np.float32(self.args.amplitude) * np.sin(angles))[:, None]
