"""The default engine of operator Python."""

from __future__ import annotations

from typing import Any

from serverquant._base.errors import ArgumentError, OperatorError, ServerquantError
from serverquant.blobs._blob import Blob
from serverquant.blobs.spec import OBJECT, Spec
from serverquant.blobs.tensor_view import TensorView
from serverquant.runtime import python_functions
from serverquant.runtime._plan import PythonStep, Step
from serverquant.runtime.operator import Operator
from serverquant.runtime.registry import register


@register("Python")
class Python(Operator):
    def setup(self) -> None:
        if self.args.token:
            self.function, self.pass_workspace = python_functions.get(self.args.token)
        elif self.args.pickled_builder:
            self.function, self.pass_workspace = self._built(), self.args.pass_workspace
        else:
            raise ArgumentError("a Python operator needs the argument token or pickled_builder")
        self.by_name = bool(self.pass_workspace)

    def _built(self) -> Any:
        """The function that the net brings along."""
        try:
            return python_functions.unpickled(self.args.pickled_builder)
        except ServerquantError:
            raise
        except Exception as error:
            raise OperatorError.of(error) from error

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        return PythonStep(self.call)

    def call(self, inputs: list[Blob], outputs: list[Blob]) -> None:
        arguments: list[Any] = [[_seen(b) for b in inputs], [_seen(b) for b in outputs]]
        if self.pass_workspace:
            arguments.append(self.definition.store)
        try:
            self.function(*arguments)
        except Exception as error:
            if isinstance(error, ServerquantError) and error.place:
                raise  # of a net that the function ran
            raise OperatorError.of(error) from error


def _seen(blob: Blob) -> Any:
    return blob.value if blob.kind == OBJECT else TensorView(blob)
