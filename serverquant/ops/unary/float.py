"""Unary operators on plain tensors."""

from __future__ import annotations

from serverquant._base.errors import ArgumentError
from serverquant.blobs import dtypes
from serverquant.blobs.spec import TENSOR, Spec
from serverquant.ops._types import kernel_of
from serverquant.ops.unary import _unary
from serverquant.ops.unary.maps import MAPS
from serverquant.runtime._plan import Step
from serverquant.runtime.operator import Operator
from serverquant.runtime.registry import register


@register(
    "Abs",
    "Acos",
    "Asin",
    "Atan",
    "Cbrt",
    "Ceil",
    "Clip",
    "Cos",
    "Cosh",
    "Cube",
    "Elu",
    "Erf",
    "Exp",
    "Floor",
    "HardSigmoid",
    "LeakyRelu",
    "Log",
    "Mish",
    "Negative",
    "Reciprocal",
    "Rsqrt",
    "Scale",
    "Sigmoid",
    "Sign",
    "Sin",
    "Sinh",
    "Softplus",
    "Softsign",
    "Sqr",
    "Sqrt",
    "Swish",
    "Tan",
    "Tanh",
    "ThresholdedRelu",
)
class MapOperator(Operator):
    """Y = f(X) element by element, as maps.py says."""

    def check_types(self, ins: list[Spec]) -> None:
        self.expect(ins, 0, *MAPS[self.type].types)

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        found = MAPS[self.type]
        return _unary.map_step(kernel_of(found.stem, ins[0]), *(getattr(self.args, arg.name) for arg in found.args))


@register("Selu")
class Selu(MapOperator):
    """Y = scale * X, and scale * (alpha * exp(X) - alpha) up to 0."""

    def setup(self) -> None:
        if not self.args.scale > 1:
            raise ArgumentError(f"argument scale is {self.args.scale}, but must be more than 1")


@register("Logit")
class Logit(MapOperator):
    """Y = ln(X / (1 - X))."""

    def setup(self) -> None:
        if not 0 < self.args.eps < 0.5:
            raise ArgumentError(f"argument eps is {self.args.eps}, but must be between 0 and 0.5")


@register("ReluN")
class ReluN(MapOperator):
    """Y = min(max(X, 0), n)."""

    def setup(self) -> None:
        if not self.args.n > 0:
            raise ArgumentError(f"argument n is {self.args.n}, but must be more than 0")


@register("Relu")
class Relu(Operator):
    """Y = max(X, 0)."""

    takes = "float"

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        return _unary.map_step("relu_f32")


@register("Gelu")
class Gelu(Operator):
    """Y = X * (share of a normal distribution below X)."""

    takes = "float"

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        return _unary.map_step("fast_gelu_f32" if self.args.fast_gelu else "gelu_f32")


@register("IsNaN")
class IsNaN(Operator):
    """Y = (X is NaN), as uint8."""

    takes = "float|double"

    def output_type(self, ins: list[Spec], i: int) -> tuple[int, int]:
        return dtypes.UINT8, TENSOR

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        return _unary.map_step(kernel_of("is_nan", ins[0]))


@register("ReplaceNaN")
class ReplaceNaN(Operator):
    """Y = X, and `value` where X is NaN."""

    takes = "float|double"

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        return _unary.map_step(kernel_of("replace_nan", ins[0]), self.args.value)


@register("Not")
class Not(Operator):
    """Y = not X."""

    takes = "bool"

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        return _unary.map_step("not_b8")


@register("Mod")
class Mod(Operator):
    """Y = the rest of X / divisor."""

    takes = "int32|int64"

    def setup(self) -> None:
        self.divisor = self.definition.arguments.int("divisor", 0, bits=64)
        if self.divisor == 0:
            raise ArgumentError("needs argument divisor, which must not be 0")

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        flag = self.args.sign_follow_divisor
        return _unary.map_step(kernel_of("mod", ins[0]), n=self.divisor, flag=flag)
