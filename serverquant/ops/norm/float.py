"""Normalisation and softmax of float tensors."""

from __future__ import annotations

import math

import numpy as np

from serverquant._base.errors import ArgumentError
from serverquant.blobs._blob import Blob
from serverquant.blobs.spec import Spec
from serverquant.ops._bounds import TakesBounds
from serverquant.ops._window import read_order
from serverquant.ops.norm import _moments, _norm
from serverquant.ops.norm.schema import channel_axis
from serverquant.runtime._plan import PythonStep, Step
from serverquant.runtime.operator import Operator
from serverquant.runtime.registry import register
from serverquant.runtime.schema import axis_of


@register("SpatialBN")
class SpatialBN(TakesBounds):
    """Y = X * alpha + beta with fixed statistics (is_test=1), or with those of the batch."""

    takes = "float"

    def setup(self) -> None:
        self.nhwc = read_order(self)
        if not self.given("is_test"):
            raise ArgumentError("argument is_test is missing: 1 to use the statistics given, 0 to train")
        if len(self.outputs) != (1 if self.args.is_test else 5):
            wants = "is_test=1 there is one output" if self.args.is_test else "is_test=0 there are five outputs"
            raise ArgumentError(f"with {wants}, not {len(self.outputs)}")
        if not self.args.epsilon > 0:
            raise ArgumentError(f"argument epsilon must be more than 0, not {self.args.epsilon}")
        if not 0 <= self.args.momentum <= 1:
            raise ArgumentError(f"argument momentum must be in [0, 1], not {self.args.momentum}")
        if not self.args.is_test:
            self._check_training()

    def _check_training(self) -> None:
        if self.inputs[3:5] != self.outputs[1:3]:
            raise ArgumentError(
                f"in training the running mean and variance are updated in place: outputs 1 and 2 must be "
                f"{list(self.inputs[3:5])}, not {list(self.outputs[1:3])}"
            )
        if self.args.num_batches > 1 and len(self.inputs) < 7:
            raise ArgumentError("num_batches needs inputs 5 and 6: the sums over these batches")

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        axis = channel_axis(self, ins[0].ndim)
        channels = ins[0].dims[axis]
        if self.args.is_test:
            inner = math.prod(ins[0].dims[axis + 1 :])
            return _norm.spatial_bn_step(axis, channels, inner, self.args.epsilon, bounds=self.bounds)
        inner = math.prod(ins[0].dims[1:]) // channels
        batches = max(self.args.num_batches, 1)
        return _moments.training_step(
            channels, inner, self.args.epsilon, self.args.momentum, batches, nhwc=self.nhwc
        )


class GroupedNorm(Operator):
    """Groups of channels of an image, normalised by their own mean and variance; then a scale and a bias a channel."""

    takes = "float"

    def setup(self) -> None:
        self.nhwc = read_order(self)
        if self.args.epsilon < 0:
            raise ArgumentError(f"argument epsilon must not be negative, but is {self.args.epsilon}")

    def groups(self, channels: int) -> int:
        raise NotImplementedError

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        channels = ins[0].dims[channel_axis(self, ins[0].ndim)]
        inner = math.prod(ins[0].dims[1:]) // channels
        return _moments.group_norm_step(channels, self.groups(channels), inner, self.args.epsilon, nhwc=self.nhwc)


@register("GroupNorm")
class GroupNorm(GroupedNorm):
    """`group` groups of neighbouring channels."""

    def setup(self) -> None:
        super().setup()
        if self.args.group < 1:
            raise ArgumentError(f"argument group must be 1 or more, not {self.args.group}")
        if len(self.outputs) == 2 or (len(self.outputs) == 1 and not self.args.is_test):
            raise ArgumentError(f"there are 1 or 3 outputs (3 with is_test=0), not {len(self.outputs)}")

    def groups(self, channels: int) -> int:
        return int(self.args.group)


@register("InstanceNorm")
class InstanceNorm(GroupedNorm):
    """Every channel of every image on its own."""

    def groups(self, channels: int) -> int:
        return channels


@register("LayerNorm")
class LayerNorm(Operator):
    """Rows, normalised by their own mean and variance."""

    takes = "float|double"

    def setup(self) -> None:
        if self.args.elementwise_affine and len(self.inputs) != 3:
            raise ArgumentError(f"elementwise_affine=1 takes 3 inputs, not {len(self.inputs)}")

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        axis = axis_of(self.args.axis, ins[0].ndim)
        if ins[0].is_float:
            affine = bool(self.args.elementwise_affine)
            return _norm.row_norm_step(axis, self.args.epsilon, affine=affine, centred=True)
        return PythonStep(self.run_double)

    def run_double(self, inputs: list[Blob], outputs: list[Blob]) -> None:
        views = [blob.view() for blob in inputs]
        x = _rows(views[0], self.args.axis)
        y, mean, sigma = (blob.view() for blob in outputs)
        if x.size:
            found = x.mean(1, keepdims=True)
            deviation = np.sqrt(np.square(x - found).mean(1, keepdims=True) + self.args.epsilon)
            normal = (x - found) / deviation
            if self.args.elementwise_affine:
                normal = normal * views[1].ravel() + views[2].ravel()
            for out, values in ((y, normal), (mean, found), (sigma, deviation)):
                out[...] = values.reshape(out.shape)


@register("RMSNorm")
class RMSNorm(Operator):
    """Rows, divided by the root of their mean square; then a scale and a bias for every place."""

    takes = "float|double"

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        if ins[0].is_float:
            axis = axis_of(self.args.axis, ins[0].ndim)
            return _norm.row_norm_step(axis, self.args.eps, affine=True, centred=False)
        return PythonStep(self.run_double)

    def run_double(self, inputs: list[Blob], outputs: list[Blob]) -> None:
        values, gamma, beta = (blob.view() for blob in inputs)
        x = _rows(values, self.args.axis)
        y, root = (blob.view() for blob in outputs)
        if x.size:
            found = 1 / np.sqrt(np.square(x).mean(1, keepdims=True) + self.args.eps)
            y[...], root[...] = (x * found * gamma.ravel() + beta.ravel()).reshape(y.shape), found.reshape(root.shape)


def _rows(x: np.ndarray, axis: int) -> np.ndarray:
    """x as a matrix whose rows end at `axis`."""
    return x.reshape(math.prod(x.shape[: axis_of(axis, x.ndim)]), -1) if x.size else x.reshape(0, 0)


@register("LRN")
class LRN(Operator):
    """Y = X * scale^-beta, scale = bias + alpha / size * sum of squares of the neighbouring channels."""

    takes = "float"

    def setup(self) -> None:
        self.nhwc = read_order(self)
        if self.args.size < 1:
            raise ArgumentError(f"argument size must be 1 or more, not {self.args.size}")

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        channels = ins[0].dims[channel_axis(self, 4)]
        inner = math.prod(ins[0].dims[1:]) // channels if channels else 0
        args = self.args
        return _norm.response_step(channels, inner, args.size, args.alpha, args.beta, args.bias, nhwc=self.nhwc)


@register("Softmax")
class Softmax(Operator):
    """exp(x) / sum(exp(x)) over rows."""

    takes = "float"

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        return _norm.softmax_step(axis_of(self.args.axis, ins[0].ndim, extra=1))
