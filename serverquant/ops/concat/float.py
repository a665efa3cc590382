"""Concat, Split, Slice and the repeating operators, for every data type."""

from __future__ import annotations

from serverquant._base.errors import ArgumentError
from serverquant.blobs import dtypes
from serverquant.blobs.spec import INT8, TENSOR, Spec
from serverquant.ops._movement import Movement
from serverquant.ops.concat import _concat
from serverquant.ops.concat.schema import (
    adds_axis,
    axis_in,
    check_axis,
    concat_axis,
    slice_bounds,
    tile_arguments,
)
from serverquant.runtime._plan import Step
from serverquant.runtime.registry import register


@register("Concat", "DepthConcat")
class Concat(Movement):
    """Joins tensors along an axis; output 1 holds their sizes."""

    def setup(self) -> None:
        check_axis(self)

    def output_type(self, ins: list[Spec], i: int) -> tuple[int, int]:
        return super().output_type(ins, i) if i == 0 else (dtypes.INT32, TENSOR)

    def check_types(self, ins: list[Spec]) -> None:
        super().check_types(ins)
        for i, spec in enumerate(ins):
            if (spec.kind, spec.dtype) != (ins[0].kind, ins[0].dtype) or spec.kind == INT8:
                self.expect(ins, i, "float" if spec.kind == INT8 else dtypes.name(ins[0].dtype))

    def move(self, ins: list[Spec], outs: list[Spec]) -> Step:
        return _concat.concat_step(concat_axis(self, ins[0].ndim), adds_axis(self))


class Cut(Movement):
    """Cuts along an axis: Split and SplitByLengths."""

    def setup(self) -> None:
        check_axis(self)

    def check_types(self, ins: list[Spec]) -> None:
        super().check_types(ins)
        if len(ins) == 2:
            self.expect(ins, 1, "int32")


@register("Split", "DepthSplit")
class Split(Cut):
    """Into parts of given or equal sizes."""

    def move(self, ins: list[Spec], outs: list[Spec]) -> Step:
        equal = len(ins) == 1 and not self.args.split
        return _concat.split_step(axis_in(self, ins[0].ndim), adds_axis(self), equal)


@register("SplitByLengths")
class SplitByLengths(Cut):
    """Into parts whose sizes are sums of lengths."""

    def move(self, ins: list[Spec], outs: list[Spec]) -> Step:
        return _concat.split_step(axis_in(self, ins[0].ndim), False, False)


@register("Slice")
class Slice(Movement):
    """A piece along one dim."""

    def setup(self) -> None:
        if len(self.inputs) == 2:
            raise ArgumentError("takes one input, or three: data, starts and ends")
        if len(self.inputs) == 1 and not (self.given("starts") and self.given("ends")):
            raise ArgumentError("needs arguments starts and ends, or two more inputs")

    def check_types(self, ins: list[Spec]) -> None:
        super().check_types(ins)
        if len(ins) == 3:
            self.expect(ins, 1, "int32", "int64")
            self.expect(ins, 2, dtypes.name(ins[1].dtype))

    def move(self, ins: list[Spec], outs: list[Spec]) -> Step:
        bounds = slice_bounds(self, ins)
        assert bounds is not None
        return _concat.slice_step(*bounds)


class Repeat(Movement):
    """Every dim of the output is a multiple of the input's, counted from the last."""

    def check_types(self, ins: list[Spec]) -> None:
        super().check_types(ins)
        for i in range(1, len(ins)):
            self.expect(ins, i, *self.counts)

    counts: tuple[str, ...] = ("int64",)

    def move(self, ins: list[Spec], outs: list[Spec]) -> Step:
        return _concat.repeat_step(self.batch_factor(ins))

    def batch_factor(self, ins: list[Spec]) -> int:
        """A new first dim of the input changes the output's to so many times; 0: plan anew."""
        raise NotImplementedError


@register("Tile")
class Tile(Repeat):
    """Repeats along an axis."""

    counts = ("int32", "int64")

    def setup(self) -> None:
        for name, place in (("tiles", 1), ("axis", 2)):
            if len(self.inputs) <= place and not self.given(name):
                raise ArgumentError(f"needs argument {name}, or an input in its place")

    def batch_factor(self, ins: list[Spec]) -> int:
        found = tile_arguments(self, ins)
        assert found is not None
        tiles, axis = found
        return tiles if axis == 0 else 1


@register("NumpyTile")
class NumpyTile(Repeat):
    """Repeats along every axis."""

    def batch_factor(self, ins: list[Spec]) -> int:
        return int(ins[1].value[0]) if ins[0].ndim else 0


@register("Expand")
class Expand(Repeat):
    """Repeats dims of 1."""

    def batch_factor(self, ins: list[Spec]) -> int:
        wanted = ins[1].value.ravel()
        place = len(wanted) - ins[0].ndim
        return int(place < 0 or (place < len(wanted) and wanted[place] <= 1))
