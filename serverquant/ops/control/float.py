"""Checks, messages, and blobs as such: their default engines."""

from __future__ import annotations

import os
import sys
from typing import Any

import numpy as np

from serverquant._base.errors import NetError, ServerquantError
from serverquant.blobs import dtypes
from serverquant.blobs._blob import Blob
from serverquant.blobs.spec import EMPTY, TENSOR, Spec
from serverquant.blobs.store import Int8
from serverquant.ops.control import schema  # noqa: F401
from serverquant.runtime._plan import PythonStep, Step, no_step
from serverquant.runtime.operator import Operator, PythonOperator
from serverquant.runtime.registry import register


@register("Assert")
class Assert(PythonOperator):
    takes = "bool|int32|int64"

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        wrong = np.flatnonzero(inputs[0].reshape(-1) == 0)
        if wrong.size:
            value = inputs[0].reshape(-1)[wrong[0]]
            raise ServerquantError(
                f'element {wrong[0]} of "{self.inputs[0]}" is {value}'
                + (f". {self.args.error_msg}" if self.args.error_msg else "")
            )


@register("Conditional")
class Conditional(PythonOperator):
    takes = ("bool", "any", "any")

    def output_type(self, ins: list[Spec], i: int) -> tuple[int, int]:
        return ins[1].dtype, ins[1].kind

    def check_types(self, ins: list[Spec]) -> None:
        super().check_types(ins)
        condition, first, second = ins
        if condition.ndim != 1 or not first.ndim or condition.dims[0] != first.dims[0]:
            raise self.shape_error(ins, 0, f"one bool for each row of {self.input_text(ins, 1)}")
        if (first.dims, first.dtype, first.kind) != (second.dims, second.dtype, second.kind):
            raise self.shape_error(ins, 2, f"the same as {self.input_text(ins, 1)}")

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        condition, first, second = inputs
        if outputs[0] is None:  # strings
            outputs[0] = np.where(condition.reshape(-1, *[1] * (first.ndim - 1)), first, second)
        else:
            np.copyto(outputs[0], second)
            np.copyto(outputs[0], first, where=condition.reshape(-1, *[1] * (first.ndim - 1)))


@register("Print", "LogInfo")
class Print(PythonOperator):
    def setup(self) -> None:
        self.runs = 0

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        self.runs += 1
        every = max(getattr(self.args, "every_n", 1), 1)
        if (self.runs - 1) % every:
            return
        for name, value in zip(self.inputs, inputs):
            text = self._text(name, value)
            if getattr(self.args, "to_file", False):
                append_line(self, name.replace("/", "_") + ".log", text)
            else:
                print(text, file=sys.stderr)

    def _text(self, name: str, value: Any) -> str:
        scale = ""
        if isinstance(value, Int8):
            scale, value = f", scale {value.scale:.6g}, zero point {value.zero_point}", value.data
        if not isinstance(value, np.ndarray):
            return f"{name}: {value!r}"
        limit = getattr(self.args, "limit", 0) or 1000
        flat = value.reshape(-1)[:limit].tolist()
        return f"{name} ({'x'.join(map(str, value.shape)) or 'scalar'} {value.dtype}{scale}): {flat}"


@register("Summarize")
class Summarize(PythonOperator):
    """Minimum and maximum pass over NaN unless it stands first, as in Caffe2; the moments are sums in double."""

    takes = "float"

    def output_type(self, ins: list[Spec], i: int) -> tuple[int, int]:
        return dtypes.FLOAT, TENSOR

    def check_types(self, ins: list[Spec]) -> None:
        super().check_types(ins)
        if ins[0].size == 0:
            raise self.shape_error(ins, 0, "at least one element")

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        x = inputs[0].reshape(-1)
        with np.errstate(all="ignore"):
            ends = (x[0], x[0]) if np.isnan(x[0]) else (np.fmin.reduce(x), np.fmax.reduce(x))
            spread = x.std(dtype=np.float64, ddof=1) if x.size > 1 else 0.0
            found = np.array([*ends, x.mean(dtype=np.float64), spread], np.float32)
        text = " ".join(f"{value:g}" for value in found)
        if self.args.to_file:
            append_line(self, self.inputs[0].replace("/", "#") + ".summary", text)
        elif not outputs:
            print(f"{self.inputs[0]}: minimum, maximum, mean, deviation {text}", file=sys.stderr)
        for output in outputs:
            output[...] = found


def append_line(op: Operator, file_name: str, text: str) -> None:
    """To a file in the workspace's root folder."""
    folder = getattr(op.definition.store, "root_folder", ".")
    with open(os.path.join(folder, file_name), "a") as file:
        file.write(text + "\n")


@register("DataCouple")
class DataCouple(PythonOperator):
    def setup(self) -> None:
        if len(self.outputs) > len(self.inputs):
            raise NetError(f"{len(self.outputs)} outputs are copies of {len(self.inputs)} inputs")

    def output_type(self, ins: list[Spec], i: int) -> tuple[int, int]:
        return ins[i].dtype, ins[i].kind

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        kept = [value.copy() if isinstance(value, np.ndarray) else value for value in inputs]
        outputs[:] = kept[: len(outputs)]


@register("Free")
class Free(Operator):
    any_inputs = True

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        return PythonStep(self.call)

    def call(self, inputs: list[Blob], outputs: list[Blob]) -> None:
        for blob in outputs:
            if blob.kind != EMPTY:
                blob.clear()


@register("Fail")
class Fail(PythonOperator):
    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        raise ServerquantError("this operator always fails")


@register("ThrowException")
class ThrowException(PythonOperator):
    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        raise ServerquantError(self.args.message)


@register("GetAllBlobNames")
class GetAllBlobNames(PythonOperator):
    by_name = True

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        store = self.definition.store
        names = store.names() if self.args.include_shared else sorted(store._blobs)
        outputs[0] = np.array([name.encode() for name in names], object)


@register("Barrier")
class Barrier(Operator):
    any_inputs = True

    def infer(self, ins: list[Spec]) -> list[Spec]:
        return []

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        return no_step()
