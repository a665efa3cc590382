"""Transposed convolution of float tensors."""

from __future__ import annotations

from functools import partial

import numpy as np

from serverquant._base.errors import ArgumentError, ShapeError
from serverquant.blobs._blob import Blob
from serverquant.blobs.spec import Spec
from serverquant.kernels._window import Window
from serverquant.kernels.gemm_f32._gemm_f32 import pack
from serverquant.ops._window import NOT_SET, SAME, VALID, read_transposed_window, split_dims
from serverquant.ops.conv import _transposed
from serverquant.ops.conv.schema import check_group
from serverquant.runtime._plan import Step
from serverquant.runtime.operator import Operator
from serverquant.runtime.registry import register
from serverquant.runtime.schema import Dims


@register("ConvTranspose")
class ConvTranspose(Operator):
    """Y = transposed convolution of X with the filter, + bias. All float, NCHW or NHWC."""

    takes: str | tuple[str, ...] = "float"

    def setup(self) -> None:
        self.window, self.adjs = read_transposed_window(self)
        self.group = check_group(self)
        if self.window.legacy_pad not in (NOT_SET, VALID, SAME):
            raise ArgumentError(f"argument legacy_pad is {self.window.legacy_pad}; it must be 0, 1 or 2")

    def out_sizes(self, sizes: Dims) -> Dims:
        """Spatial sizes of the output; ShapeError if the pads take all of it."""
        w, n = self.window, self.window.ndim
        out = tuple(
            (size - 1) * w.strides[i] + w.kernel[i] + self.adjs[i] - w.pads[i] - w.pads[i + n]
            for i, size in enumerate(sizes)
        )
        if min(out) < 0 or min(sizes) < 1:
            raise ShapeError(f"an image of sizes {list(sizes)} would become one of sizes {list(out)}")
        return out

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        w = self.window
        _, channels, sizes = split_dims(ins[0].dims, w.nhwc)
        _, outputs, out_sizes = split_dims(outs[0].dims, w.nhwc)
        window = Window(out_sizes, w.kernel, w.strides, w.pads, w.dilations, sizes)
        step = _transposed.transposed_step(window, channels, outputs, self.group, nhwc=w.nhwc)
        step.prepare = partial(self.prepare, step)
        return step

    def prepare(self, step: Step, inputs: list[Blob], outputs: list[Blob]) -> None:
        """Turn the weights around for the product, once for all nets that use this version of them."""
        by_channel = step.facts["form"] == "channels"
        key = "conv_transpose", by_channel, self.group, self.window.nhwc
        weight = inputs[1].packed(key, partial(self.pack, inputs[1], by_channel))
        _transposed.set_weight(step, weight, inputs[1].version)

    def pack(self, blob: Blob, by_channel: bool) -> object:
        """Rows (group, output, tap), or for the form "channels" (group, tap, output), of channels / group values."""
        weight = blob.view()
        if self.window.nhwc:
            weight = np.moveaxis(weight, -1, 1)  # inputs, outputs / group, kernel
        inputs, outputs = weight.shape[:2]
        grouped = weight.reshape(self.group, inputs // self.group, outputs, -1)
        rows = grouped.transpose(0, 3, 2, 1) if by_channel else grouped.transpose(0, 2, 3, 1)
        matrix = np.ascontiguousarray(rows).reshape(-1, inputs // self.group)
        return pack(matrix, self.group) if by_channel else matrix
