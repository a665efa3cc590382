"""Resizing, padding, shuffling of images. What only moves pixels takes every data type."""

from __future__ import annotations

from typing import Any

import numpy as np

from serverquant._base.errors import ArgumentError
from serverquant.blobs.spec import Spec
from serverquant.ops._movement import Movement
from serverquant.ops._window import read_order, split_dims
from serverquant.ops.resize import _resize, maps
from serverquant.ops.resize.schema import batch_pads, check_scales, read_pads, scales_of
from serverquant.runtime._plan import Step
from serverquant.runtime.late import late_step
from serverquant.runtime.operator import Operator, PythonOperator
from serverquant.runtime.registry import register


class Remap(Movement):
    """Every output pixel is an input pixel; `maps(sizes, out_sizes, ins)` says which, for frames, rows and columns."""

    nhwc = False

    def check_types(self, ins: list[Spec]) -> None:
        super().check_types(ins)
        if len(ins) == 2:
            self.expect(ins, 1, "float")

    def maps(self, sizes: tuple[int, ...], out: tuple[int, ...], ins: list[Spec]) -> list[np.ndarray]:
        raise NotImplementedError

    def move(self, ins: list[Spec], outs: list[Spec]) -> Step:
        (_, channels, sizes), (_, _, out) = (split_dims(s.dims, self.nhwc) for s in (ins[0], outs[0]))
        found = self.maps(sizes, out, ins)
        lacking = 3 - len(sizes)
        found = [maps.whole(1)] * lacking + found
        return _resize.remap_step(found, (1,) * lacking + sizes, self.nhwc, self.fill_row(out[-1], channels))

    def fill_row(self, width: int, channels: int) -> bytes:
        """A row of what stands where no input pixel is; empty if there is no such place."""
        return b""


@register("ResizeNearest")
class ResizeNearest(Remap):
    """Nearest pixels, by two scales."""

    def setup(self) -> None:
        self.nhwc = read_order(self)
        check_scales([self.args.height_scale, self.args.width_scale])

    def maps(self, sizes: tuple[int, ...], out: tuple[int, ...], ins: list[Spec]) -> list[np.ndarray]:
        scales = scales_of(self, ins)
        assert scales is not None
        return [maps.nearest(n, count, s) for n, count, s in zip(sizes, out, scales)]


@register("ResizeNearest3D")
class ResizeNearest3D(Remap):
    """Nearest pixels, doubled."""

    def setup(self) -> None:
        self.scales = [self.args.temporal_scale, self.args.height_scale, self.args.width_scale]
        if read_order(self):
            raise ArgumentError("ResizeNearest3D takes order NCHW only")
        if self.scales[0] not in (1, 2) or self.scales[1:] != [2, 2]:
            raise ArgumentError(f"scales are {self.scales}; height and width must be 2, temporal_scale 1 or 2")

    def maps(self, sizes: tuple[int, ...], out: tuple[int, ...], ins: list[Spec]) -> list[np.ndarray]:
        return [maps.nearest(n, count, s) for n, count, s in zip(sizes, out, self.scales)]


@register("PadImage")
class PadImage(Remap):
    """Borders: constant, mirrored, or the edge's pixels."""

    takes = "float"

    def setup(self) -> None:
        args = self.args
        self.nhwc, self.pads = read_order(self), read_pads(self)
        if args.mode not in ("constant", "reflect", "edge"):
            raise ArgumentError(f'argument mode is "{args.mode}"; it must be constant, reflect or edge')
        if args.legacy_pad:
            raise ArgumentError(f"argument legacy_pad is {args.legacy_pad}; PadImage takes explicit pads only")
        for name in ("stride", "dilation"):
            given = [vars(args)[name + form] for form in ("", "_h", "_w")] + vars(args)[f"{name}s"]
            if set(given) != {1}:
                raise ArgumentError(f"PadImage takes no {name} but 1")

    def maps(self, sizes: tuple[int, ...], out: tuple[int, ...], ins: list[Spec]) -> list[np.ndarray]:
        return [maps.padded(n, self.pads[i], self.pads[i + 2], self.args.mode) for i, n in enumerate(sizes)]

    def fill_row(self, width: int, channels: int) -> bytes:
        return np.full(width * (channels if self.nhwc else 1), self.args.value, np.float32).tobytes()


@register("UpsampleBilinear")
class UpsampleBilinear(Operator):
    """Linear interpolation, by two scales."""

    takes = "float"

    def setup(self) -> None:
        check_scales([self.args.height_scale, self.args.width_scale])

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        rows, columns = (maps.linear(ins[0].dims[i], outs[0].dims[i]) for i in (2, 3))
        return _resize.bilinear_step(rows, columns)

    def plan_late(self, ins: list[Spec], outs: list[Spec]) -> Step:
        return late_step(self)


@register("ChannelShuffle")
class ChannelShuffle(Movement):
    """Mixes the channels of groups."""

    def setup(self) -> None:
        self.nhwc = read_order(self)
        if self.args.group < 1:
            raise ArgumentError(f"argument group is {self.args.group}; it must be at least 1")

    def move(self, ins: list[Spec], outs: list[Spec]) -> Step:
        return _resize.shuffle_step(self.args.group, self.nhwc)


class Blocks(PythonOperator):
    """Moves pixels between blocks of an image and the batch."""

    takes = "float"

    def setup(self) -> None:
        if read_order(self):
            raise ArgumentError(f"{self.type} takes order NCHW only")
        if self.args.block_size < 1:
            raise ArgumentError(f"argument block_size is {self.args.block_size}; it must be at least 1")
        if min(batch_pads(self)) < 0:
            raise ArgumentError(f"pads are {batch_pads(self)}; they must not be negative")

    def parts(self, small: np.ndarray, large: np.ndarray) -> Any:
        """(part of the batch of the small images, its pixels in the padded large ones), views of one shape. What is
        more than the pixels of a block starts beyond the first one, as in Caffe2."""
        block, batch = self.args.block_size, len(large)
        for n in range(0, len(small), batch):
            row, column = divmod(n // batch, block)
            part = small[n : n + batch]
            pixels = large[: len(part), :, row::block, column::block]
            yield part[:, :, : pixels.shape[2], : pixels.shape[3]], pixels


@register("SpaceToBatch")
class SpaceToBatch(Blocks):
    """Blocks to batch."""

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        top, bottom, side = batch_pads(self)
        batch, channels, height, width = inputs[0].shape
        room = np.zeros((batch, channels, height + top + bottom, width + 2 * side), np.float32)
        room[:, :, top : top + height, side : side + width] = inputs[0]
        if batch:
            for part, pixels in self.parts(outputs[0], room):
                part[...] = pixels


@register("BatchToSpace")
class BatchToSpace(Blocks):
    """Batch to blocks."""

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        top, _, side = batch_pads(self)
        batch, channels, height, width = outputs[0].shape
        block = self.args.block_size
        room = np.zeros((batch, channels, *(n * block for n in inputs[0].shape[2:])), np.float32)
        for part, pixels in self.parts(inputs[0], room):
            pixels[...] = part
        outputs[0][...] = room[:, :, top : top + height, side : side + width]


@register("IntegralImage")
class IntegralImage(PythonOperator):
    """Running sums, first along rows, then along columns."""

    takes = "float"

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        y = outputs[0]
        y[:, :, 0], y[:, :, :, 0] = 0, 0
        y[:, :, 1:, 1:] = inputs[0]
        np.cumsum(y, axis=3, out=y)
        np.cumsum(y, axis=2, out=y)
