"""Operators that give the same elements another shape or order, for every data type."""

from __future__ import annotations

from serverquant._base.errors import ArgumentError
from serverquant.blobs import dtypes
from serverquant.blobs.spec import TENSOR, Spec
from serverquant.ops._movement import Movement
from serverquant.ops.dnnlowp.chain import TURN, Link
from serverquant.ops.shape import _shape
from serverquant.ops.shape.schema import channels_last_axes, channels_second_axes, permutation
from serverquant.runtime._plan import Step, copy_step
from serverquant.runtime.operator import Operator
from serverquant.runtime.registry import register


def place_of_batch(wanted: list[int]) -> int:
    """The dim of a Reshape's output that a new first dim of the input changes; -1 if there is none."""
    return 0 if wanted[:1] == [0] else wanted.index(-1) if -1 in wanted else -1


@register("Reshape")
class Reshape(Movement):
    """The same elements in another shape; output 1 holds the old one."""

    def output_type(self, ins: list[Spec], i: int) -> tuple[int, int]:
        if i == 0:
            return super().output_type(ins, i)
        return ins[1].dtype if len(ins) == 2 else dtypes.INT64, TENSOR

    def check_types(self, ins: list[Spec]) -> None:
        super().check_types(ins)
        if len(ins) == 2:
            self.expect(ins, 1, "int32", "int64")

    def setup(self) -> None:
        if len(self.inputs) == 1 and not self.given("shape"):
            raise ArgumentError("needs argument shape or a second input with the new shape")

    def move(self, ins: list[Spec], outs: list[Spec]) -> Step:
        place = place_of_batch(self.args.shape) if len(ins) == 1 else -1
        return _shape.reshape_step(place, ins[0].dims, outs[-1].dtype == dtypes.INT32)


class Regroup(Movement):
    """The same elements in other dims. `batch_dim`: the output's dim that the input's first one is in."""

    def batch_dim(self) -> int:
        return 0

    def move(self, ins: list[Spec], outs: list[Spec]) -> Step:
        return _shape.regroup_step(self.batch_dim())


@register("FlattenToVec", "MergeDim")
class Merge(Regroup):
    """All dims, or the first two, become one."""


@register("ResizeLike")
class ResizeLike(Movement):
    """In another tensor's shape."""

    def move(self, ins: list[Spec], outs: list[Spec]) -> Step:
        return _shape.like_step()


@register("Flatten")
class Flatten(Regroup):
    """As a matrix."""

    def batch_dim(self) -> int:
        return 0 if self.args.axis else 1


class Ones(Regroup):
    """Dims of 1 are put in or taken away."""

    def setup(self) -> None:
        if not self.args.dims:
            raise ArgumentError("needs argument dims")
        if min(self.args.dims) < 0:
            raise ArgumentError(f"argument dims is {self.args.dims}; dims must not be negative")


@register("ExpandDims")
class ExpandDims(Ones):
    """Dims of 1 are put in."""

    def batch_dim(self) -> int:
        return next(i for i in range(len(self.args.dims) + 1) if i not in self.args.dims)


@register("Squeeze")
class Squeeze(Ones):
    """Dims of 1 are taken away."""

    def batch_dim(self) -> int:
        return -1 if 0 in self.args.dims else 0


@register("PrependDim")
class PrependDim(Regroup):
    """The first dim is split in two."""

    def setup(self) -> None:
        if self.args.dim_size < 1:
            raise ArgumentError(f"argument dim_size is {self.args.dim_size}; it must be at least 1")

    def batch_dim(self) -> int:
        return 1


@register("Shape", "Size")
class Told(Operator):
    """What follows from the input's dims; known while planning."""

    def output_type(self, ins: list[Spec], i: int) -> tuple[int, int]:
        return dtypes.INT64, TENSOR


@register(
    "Copy",
    "CopyCPUToGPU",
    "CopyGPUToCPU",
    "CopyFromCPUInput",
    "CopyOnDeviceLike",
    "EnsureCPUOutput",
    "EnsureDense",
    "Alias",
    "AliasWithName",
    "StopGradient",
)
class Copy(Movement):
    """A copy of the input."""

    def move(self, ins: list[Spec], outs: list[Spec]) -> Step:
        return copy_step(1)


class Permute(Movement):
    """Moves axes: output axis i is input axis axes(ndim)[i]."""

    def axes(self, ndim: int) -> list[int]:
        raise NotImplementedError

    def move(self, ins: list[Spec], outs: list[Spec]) -> Step:
        return _shape.transpose_step(self.axes(ins[0].ndim))


@register("Transpose")
class Transpose(Permute):
    """Permutes the axes."""

    def axes(self, ndim: int) -> list[int]:
        return permutation(self, ndim)


@register("NCHW2NHWC")
class ChannelsLast(Permute, Link):
    """Moves the channels last."""

    def kind(self) -> int:
        return TURN

    def axes(self, ndim: int) -> list[int]:
        return channels_last_axes(ndim)


@register("NHWC2NCHW")
class ChannelsSecond(Permute):
    """Moves the channels second."""

    def axes(self, ndim: int) -> list[int]:
        return channels_second_axes(ndim)
