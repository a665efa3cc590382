"""Arguments of operators whose window slides over an image: convolutions and pools.

A schema lists `*WINDOW_ARGS`, `setup` calls `read_window(self)`, and `WindowArgs.fit(sizes)` gives pads and output
sizes for the spatial sizes of an input. An image is (batch, channels, sizes); `split_dims` and `join_dims` know the
order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from serverquant._base.errors import ArgumentError, ShapeError
from serverquant.runtime.schema import Arg, Dims

if TYPE_CHECKING:
    from serverquant.blobs.spec import Spec
    from serverquant.runtime.operator import Operator

NOT_SET, VALID, SAME, CAFFE = 0, 1, 2, 3


def axis_forms(name: str, plural: str, what: str, default: str) -> list[Arg]:
    """The forms in which a net gives a number for each spatial dimension."""
    return [
        Arg(plural, "ints", None, f"{what}, one for each spatial dimension; {default}"),
        Arg(name, "int", None, f"{plural} of a 2-D window, both the same"),
        Arg(f"{name}_h", "int", None, f"{plural} of a 2-D window: height, together with {name}_w"),
        Arg(f"{name}_w", "int", None, f"{plural} of a 2-D window: width"),
    ]


def pad_forms() -> list[Arg]:
    """The same for pads."""
    return [
        Arg("pads", "ints", None, "padding: all starts, then all ends; 0 when missing"),
        Arg("pad", "int", None, "pads of a 2-D window, all the same"),
        Arg("pad_t", "int", None, "pads of a 2-D window: top, together with the other three"),
        Arg("pad_l", "int", None, "pads of a 2-D window: left"),
        Arg("pad_b", "int", None, "pads of a 2-D window: bottom"),
        Arg("pad_r", "int", None, "pads of a 2-D window: right"),
    ]


ORDER_ARG = Arg("order", "string", "NCHW", "NCHW (channels before the image's dimensions) or NHWC (behind them)")
WINDOW_ARGS = [
    *axis_forms("kernel", "kernels", "sizes of the window", "needed, in one of these forms"),
    *axis_forms("stride", "strides", "steps of the window", "1 when missing"),
    *axis_forms("dilation", "dilations", "distances between the window's elements", "1 when missing"),
    *pad_forms(),
    Arg("legacy_pad", "int", 0, "0: the pads given; 1: none (VALID); 2: as many as keep ceil(size / stride) outputs "
        "(SAME); 3: Caffe's pools, which round the output size up"),
    ORDER_ARG,
]


class Fit(NamedTuple):
    """A window on an image of known size. pads: all starts, then all ends."""

    sizes: Dims
    kernel: Dims
    strides: Dims
    pads: Dims
    dilations: Dims
    out_sizes: Dims


@dataclass(frozen=True)
class WindowArgs:
    """A window's arguments, one entry for each spatial dimension (pads: all starts, then all ends).

    is_global: the window is the whole image, of however many dimensions.
    """

    kernel: Dims
    strides: Dims
    pads: Dims
    dilations: Dims
    legacy_pad: int
    nhwc: bool
    is_global: bool = False

    @property
    def ndim(self) -> int:
        """Spatial dimensions."""
        return len(self.kernel)

    def fit(self, sizes: Dims) -> Fit:
        """The window on an image of these spatial sizes. Raises ShapeError where it does not fit."""
        if self.is_global:
            n = len(sizes)
            return Fit(sizes, sizes, (1,) * n, (0,) * (2 * n), (1,) * n, (1,) * n)
        if len(sizes) != self.ndim:
            raise ShapeError(f"an image of sizes {list(sizes)} under a window of {self.ndim} dimensions")
        axes = [self._axis(i, size) for i, size in enumerate(sizes)]
        pads = (*(a[0] for a in axes), *(a[1] for a in axes))
        return Fit(sizes, self.kernel, self.strides, pads, self.dilations, tuple(a[2] for a in axes))

    def _axis(self, i: int, size: int) -> tuple[int, int, int]:
        """(pad before, pad behind, outputs) of one dimension."""
        stride, before, behind = self.strides[i], self.pads[i], self.pads[i + self.ndim]
        extent = (self.kernel[i] - 1) * self.dilations[i] + 1
        if self.legacy_pad == SAME:
            out = -(-size // stride)
            need = (out - 1) * stride + extent - size
            head = int(need / 2)  # negative where the stride exceeds the window: pixels at the edges are left out
            return head, need - head, out
        if self.legacy_pad == CAFFE:
            return _caffe_axis(size, extent, stride, before)
        if size + before + behind < extent:
            raise ShapeError(
                f"a window of {extent} elements does not fit into {size} with pads {before} and {behind} "
                f"(spatial dimension {i})"
            )
        return before, behind, (size + before + behind - extent) // stride + 1


def _caffe_axis(size: int, extent: int, stride: int, pad: int) -> tuple[int, int, int]:
    """Caffe's rule: the output size is rounded up, but the last window starts inside the image."""
    room = size + 2 * pad - extent
    if room < 0:
        raise ShapeError(f"a window of {extent} elements does not fit into {size} with pads of {pad}")
    floor, out = room // stride + 1, -(-room // stride) + 1
    if pad > 0 and (out - 1) * stride >= size + pad:
        out -= 1
    return pad, pad + stride * (out - floor), out


def read_window(op: Operator) -> WindowArgs:
    """The window of an operator whose schema lists WINDOW_ARGS (and global_pooling, if it is a pool)."""
    is_global = getattr(op.args, "global_pooling", False)
    kernel = _axes(op, "kernel", "kernels", None) or ((1, 1) if is_global else None)
    if kernel is None:
        raise ArgumentError("the window's size is missing: give kernel, kernel_h and kernel_w, or kernels")
    n = len(kernel)
    window = WindowArgs(
        kernel=_checked(kernel, "kernel", 0 if is_global else 1),
        strides=_checked(_axes(op, "stride", "strides", n) or (1,) * n, "stride", 1),
        pads=_checked(_pads(op, n) or (0,) * (2 * n), "pad", 0),
        dilations=_checked(_axes(op, "dilation", "dilations", n) or (1,) * n, "dilation", 1),
        legacy_pad=op.args.legacy_pad,
        nhwc=read_order(op),
        is_global=is_global,
    )
    _check_legacy(window)
    return window


def read_transposed_window(op: Operator) -> tuple[WindowArgs, Dims]:
    """The window of a transposed convolution, and what is added behind each axis of its output (adjs)."""
    kernel = _axes(op, "kernel", "kernels", None)
    if kernel is None:
        raise ArgumentError("the window's size is missing: give kernel, kernel_h and kernel_w, or kernels")
    n = len(kernel)
    window = WindowArgs(
        kernel=_checked(kernel, "kernel", 1),
        strides=_checked(_axes(op, "stride", "strides", n) or (1,) * n, "stride", 1),
        pads=_checked(_pads(op, n) or (0,) * (2 * n), "pad", 0),
        dilations=(1,) * n,
        legacy_pad=op.args.legacy_pad,
        nhwc=read_order(op),
    )
    _check_legacy(window)
    adjs = _checked(_axes(op, "adj", "adjs", n) or (0,) * n, "adj", 0)
    if any(a > s for a, s in zip(adjs, window.strides)):
        raise ArgumentError(f"adjs {list(adjs)} must not exceed the strides {list(window.strides)}")
    return window, adjs


def read_order(op: Operator) -> bool:
    """Whether the argument order says NHWC."""
    if op.args.order not in ("NCHW", "NHWC"):
        raise ArgumentError(f'argument order is "{op.args.order}"; it must be NCHW or NHWC')
    return bool(op.args.order == "NHWC")


def _check_legacy(window: WindowArgs) -> None:
    if not 1 <= window.ndim <= 3:
        raise ArgumentError(f"a window of {window.ndim} dimensions; 1 to 3 are possible")
    if window.legacy_pad not in (NOT_SET, VALID, SAME, CAFFE):
        raise ArgumentError(f"argument legacy_pad is {window.legacy_pad}; it must be 0 to 3")
    if window.legacy_pad in (VALID, SAME) and any(window.pads):
        raise ArgumentError(f"legacy_pad {window.legacy_pad} leaves no choice of pads; {list(window.pads)} are given")
    if window.legacy_pad in (SAME, CAFFE) and set(window.dilations) != {1}:
        raise ArgumentError(f"legacy_pad {window.legacy_pad} does not go with dilation {window.dilations}")
    if window.is_global and (any(window.pads) or set(window.strides + window.dilations) != {1}):
        raise ArgumentError("global_pooling does not go with pads, strides or dilations")


def _agreed(plural: str, forms: list[tuple[int, ...] | None], length: int | None) -> Dims | None:
    """The one value that is given, in whatever form; several forms must say the same."""
    given = [tuple(f) for f in forms if f]
    if len(set(given)) > 1:
        raise ArgumentError(f"{plural} is given more than once: {' and '.join(str(list(f)) for f in given)}")
    if not given:
        return None
    if length is not None and len(given[0]) != length:
        raise ArgumentError(f"{plural} is {list(given[0])}, but the kernel asks for {length} entries")
    return given[0]


def _axes(op: Operator, name: str, plural: str, length: int | None) -> Dims | None:
    args = vars(op.args)
    both, height, width = args[name], args[f"{name}_h"], args[f"{name}_w"]
    if (height is None) != (width is None):
        raise ArgumentError(f"{name}_h and {name}_w go together; one of them is missing")
    return _agreed(
        plural,
        [args[plural], None if both is None else (both, both), None if height is None else (height, width)],
        length,
    )


def _pads(op: Operator, n: int) -> Dims | None:
    args = op.args
    sides = [args.pad_t, args.pad_l, args.pad_b, args.pad_r]
    if None in sides and sides != [None] * 4:
        raise ArgumentError("pad_t, pad_l, pad_b and pad_r go together; one of them is missing")
    same = None if args.pad is None else (args.pad,) * 4
    return _agreed("pads", [args.pads, same, None if None in sides else tuple(sides)], 2 * n)


def _checked(values: Dims, name: str, least: int) -> Dims:
    if not all(least <= v < 1 << 30 for v in values):
        raise ArgumentError(f"{name} must be {least} or more in every dimension, not {list(values)}")
    return values


def split_dims(dims: Dims, nhwc: bool) -> tuple[int, int, Dims]:
    """(batch, channels, spatial sizes) of an image tensor's dims, of which there are at least two."""
    return (dims[0], dims[-1], dims[1:-1]) if nhwc else (dims[0], dims[1], dims[2:])


def window_dims(op: Any, ins: list[Spec], channels: int) -> Dims:
    """The output's dims: sizes by `op.window`, which must fit into input 0. Raises ShapeError, naming that."""
    batch, _, sizes = split_dims(ins[0].dims, op.window.nhwc)
    try:
        return join_dims(batch, channels, op.window.fit(sizes).out_sizes, op.window.nhwc)
    except ShapeError as error:
        raise ShapeError(f"{op.input_text(ins, 0)}: {error.message}") from error


def join_dims(batch: int, channels: int, sizes: Dims, nhwc: bool) -> Dims:
    """The inverse of split_dims."""
    return (batch, *sizes, channels) if nhwc else (batch, channels, *sizes)
