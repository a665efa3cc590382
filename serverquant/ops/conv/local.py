"""Locally connected layers, and images as columns: Im2Col, Col2Im."""

from __future__ import annotations

from typing import Any

import numpy as np

from serverquant._base.errors import ArgumentError, ShapeError
from serverquant.blobs.spec import Spec
from serverquant.kernels._window import Window
from serverquant.kernels.col2im._col2im import py_im2col
from serverquant.kernels.matmul_f32._matmul_f32 import matmul
from serverquant.ops._window import read_order, read_window, split_dims
from serverquant.ops.conv import _transposed
from serverquant.ops.conv.schema import check_group
from serverquant.runtime._plan import Step
from serverquant.runtime.operator import Operator, PythonOperator
from serverquant.runtime.registry import register
from serverquant.runtime.schema import Dims


@register("LC", "LC1D", "LC2D", "LC3D")
class LocallyConnected(PythonOperator):
    """Every output pixel is a product of its own: columns x weights, a batch of them."""

    takes = "float"

    def setup(self) -> None:
        self.window, self.group = read_window(self), check_group(self)
        if self.window.nhwc and self.group > 1:
            raise ArgumentError("groups need order NCHW")
        if self.window.nhwc and self.window.ndim != 2:
            raise ArgumentError(f"order NHWC needs a kernel of 2 dimensions, not {list(self.window.kernel)}")

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        x, weight, *bias = inputs
        batch, channels, sizes = split_dims(x.shape, self.window.nhwc)
        fit = self.window.fit(sizes)
        window = Window(sizes, fit.kernel, fit.strides, fit.pads, fit.dilations, fit.out_sizes)
        pixels, taps = int(np.prod(fit.out_sizes)), int(np.prod(fit.kernel))
        made = weight.shape[self.window.ndim]
        if not outputs[0].size:
            return
        columns = np.empty(batch * pixels * channels * taps, np.float32)
        py_im2col(window, x.ravel(), columns, batch, channels, nhwc=self.window.nhwc)
        k = channels // self.group * taps
        # (pixel, group) products of [batch, k] x [outputs / group, k]
        by_pixel = (
            columns.reshape(batch, pixels, 1, k).transpose(1, 2, 0, 3)
            if self.window.nhwc
            else columns.reshape(batch, self.group, k, pixels).transpose(3, 1, 0, 2)
        )
        a = np.ascontiguousarray(by_pixel).reshape(-1, batch, k)
        y = matmul(a, weight.reshape(-1, made // self.group, k), transposed=True)
        y = y.reshape(pixels, self.group, batch, -1).transpose(2, 0, 1, 3).reshape(batch, pixels, made)
        if bias:
            y = y + bias[0].reshape(pixels, made)
        outputs[0][...] = (y if self.window.nhwc else y.transpose(0, 2, 1)).reshape(outputs[0].shape)


class ColumnOperator(Operator):
    """A 2-D window with one pad for all sides."""

    takes = "float"
    image = 0  # the input that has the image's shape

    def setup(self) -> None:
        self.kernel, self.stride = self._pair("kernel", 0), self._pair("stride", 1)
        self.dilation, self.nhwc = self._pair("dilation", 1), read_order(self)
        if self.args.pad < 0:
            raise ArgumentError(f"argument pad is {self.args.pad}; it must not be negative")

    def _pair(self, name: str, default: int) -> tuple[int, int]:
        args = vars(self.args)
        both = default if args[name] is None else args[name]
        pair = tuple(both if args[name + side] is None else args[name + side] for side in ("_h", "_w"))
        if min(pair) < 1:
            raise ArgumentError(f"{name} must be 1 or more in both dimensions, not {list(pair)}")
        return pair[0], pair[1]

    def columns(self, dims: Dims) -> tuple[int, int, Dims]:
        """(batch, channels, numbers of columns) for an image of these dims."""
        if len(dims) != 4:
            raise ShapeError(f"an image of 4 dimensions is needed, not {list(dims)}")
        batch, channels, sizes = split_dims(dims, self.nhwc)
        extents = [d * (k - 1) + 1 for k, d in zip(self.kernel, self.dilation)]
        if any(size < extent for size, extent in zip(sizes, extents)):
            raise ShapeError(f"a window of {extents} does not fit into an image of {list(sizes)}")
        out = [(s + 2 * self.args.pad - e) // t + 1 for s, e, t in zip(sizes, extents, self.stride)]
        return batch, channels, tuple(out)

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        dims = ins[self.image].dims
        _, channels, out = self.columns(dims)
        sizes = split_dims(dims, self.nhwc)[2]
        window = Window(sizes, self.kernel, self.stride, (self.args.pad,) * 4, self.dilation, out)
        return _transposed.columns_step(window, channels, nhwc=self.nhwc, to_image=self.image == 1)


@register("Im2Col")
class Im2Col(ColumnOperator):
    """Columns of an image."""


@register("Col2Im")
class Col2Im(ColumnOperator):
    """An image of columns."""

    image = 1
