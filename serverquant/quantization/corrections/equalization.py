"""Cross-layer equalization: channels that are small in one layer and large in the next are evened out.

f is positively homogeneous, f(s x) = s f(x) for s > 0: the identity, Relu, LeakyRelu, pools, Flatten, and these behind
each other. So with S = diag(s), s > 0,

    W2 f(W1 x + b1) + b2 = (W2 S) f(S^-1 W1 x + S^-1 b1) + b2

and s is free. With r1_i the range of row i of W1, r2_i that of column i of W2, `cross_layer` takes

    s_i = sqrt(r1_i r2_i) / r2_i

after which both are sqrt(r1_i r2_i): Nagel, van Baalen, Blankevoort, Welling, "Data-Free Quantization Through Weight
Equalization and Bias Correction", ICCV 2019, equation 11. Chains of layers are gone through until nothing moves. One
limit is ours: a channel whose weights have died, but not its bias, would get a bias, and so an activation, that leaves
no steps for the others; s_i is at least |b1_i| / max |b1|.

`activations` takes r1_i = max |f(...)_i|, seen in calibration, so 1 / s is what Caffe2's ComputeEqualizationScale gives
for the inputs and the weight of the second layer. That formula does not look at W1, and would blow up the rows of
channels that are nearly 0: s stays where neither the range of W1 nor that of W2 grows.

c, a Clip from 0 to h (Relu6) or a ReluN, is not homogeneous: s_i c(x / s_i) is cut off at s_i h. `through_clip` is
`cross_layer` through these too, so that what was seen in calibration, m_i = max c(x)_i, stays as it is:

- m_i = h: the channel is held, s_i = 1.
- m_i < h: s_i is at least m_i / h. Samples that were not seen reach further, the more so the fewer were seen: m_i
  counts as (1 + 8 / samples) m_i, at most h. An s_i above 1 puts the limit where nothing was.

A tensor has one range, so scales matter relative to those of the held channels: s is divided by what `cross_layer`
would take for these, sqrt(max r1_i / max r2_i). Without any, and where scales are too small, by the factor that makes
them large enough. (The paper has Relu for Relu6 there, which changes the outputs.)

Where several layers read a blob, r2 is the largest of their ranges. Blobs that change get new names, so that nobody
compares them with the old ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from serverquant.proto import OperatorDef
from serverquant.quantization.net import LAYERS, POOLS, Net, arguments, upper_end
from serverquant.quantization.statistics import Statistics

KINDS = ("none", "cross_layer", "through_clip", "activations")
DATA_FREE = ("none", "cross_layer")
HOMOGENEOUS = ("Relu", "LeakyRelu", "Flatten", *POOLS)
_TINY = float(np.finfo(np.float32).tiny)
CACHED_VALUES, WINDOW = 1 << 15, 64
MAX_ROUNDS, SETTLED = 40, 1e-3  # a chain of n layers takes some n rounds
UNSEEN = 8.0  # over the number of samples: by which share of what was seen more samples may go beyond it


def equalize(net: Net, kind: str, statistics: Statistics | None = None) -> int:
    """Even out the channels of a net whose values have names of their own; between how many layers.

    kind: one of KINDS. statistics: of this net, where `needs_statistics` says so.
    """
    joints = list(_joints(net)) if kind != "none" else []
    known = statistics if kind == "through_clip" else None
    joints = [joint for joint in joints if not joint.clips or (known is not None and joint.bound(known))]
    layers = {id(joint.writer): joint.writer for joint in joints}
    for joint in joints:  # who reads in one joint writes in another
        for reader in joint.readers:
            reader.channels, reader.last = joint.channels, joint.last
            layers[id(reader)] = reader
    for layer in layers.values():
        layer.measure()
    if kind == "activations":
        assert statistics is not None
        for joint in joints:
            seen = _seen(statistics, joint.readers[0].op.input[0], joint)
            joint.apply(np.clip(_scale(seen, joint.columns()), *joint.limits()))
    else:
        for _ in range(MAX_ROUNDS):
            if max((_even_out(joint) for joint in joints), default=0.0) < SETTLED:
                break
    for layer in layers.values():
        layer.write(net)
    _rename(net, [name for joint in joints for name in joint.blobs])
    return len(joints)


def needs_statistics(net: Net, kind: str) -> bool:
    """Whether `equalize` must know what the net's blobs hold."""
    return kind == "activations" or (kind == "through_clip" and any(joint.clips for joint in _joints(net)))


class _Layer:
    """A Conv or FC, the magnitudes of its weights, and what its channels are to be multiplied by.

    sizes: float64 [groups, outputs of a group, inputs of a group], the largest magnitude of each channel by channel:
    evening out goes over these again and again, and over the weights once. channels: of what it reads; as many as it
    has groups where its rows alone matter. last: see `_by_input`.
    """

    def __init__(self, op: OperatorDef, weight: np.ndarray, bias: np.ndarray | None):
        self.op, self.weight, self.bias = op, weight, bias
        self.group = arguments(op).int("group", 1)
        self.channels, self.last = self.group, False
        self.sizes = np.zeros(0)

    def measure(self) -> None:
        """Make `sizes`."""
        self.sizes = self._largest(self._by_input(self.weight))
        self._rows, self._columns = np.ones(len(self.weight)), np.ones(self.channels)

    @staticmethod
    def _largest(view: np.ndarray) -> np.ndarray:
        """Over the last dimension, in parts that stay in the cache. Where it is short, as of a window, numpy goes over
        the others quicker."""
        found = np.zeros(view.shape[:3])
        axis = 0 if view.shape[0] > 1 else 1
        step = max(1, CACHED_VALUES * view.shape[axis] // max(1, view.size))
        for at in range(0, view.shape[axis] if view.size else 0, step):
            part = (slice(None),) * axis + (slice(at, at + step),)
            magnitudes = np.abs(view[part])
            if view.shape[3] > WINDOW:
                found[part] = magnitudes.max(axis=3)
                continue
            most = np.ascontiguousarray(magnitudes[..., 0])
            for k in range(1, view.shape[3]):
                np.maximum(most, magnitudes[..., k], out=most)
            found[part] = most
        return found

    def _by_input(self, array: np.ndarray) -> np.ndarray:
        """A view: group, outputs of a group, inputs of a group, the rest. An FC has several columns a channel when it
        reads an image, and they lie together unless channels are `last`."""
        inputs = self.channels // self.group
        head = (self.group, len(array) // self.group)
        if self.last:
            return np.moveaxis(array.reshape(*head, -1, inputs), 3, 2)
        return array.reshape(*head, inputs, -1)

    def rows(self) -> np.ndarray:
        """Largest magnitude by output channel."""
        return self.sizes.max(axis=2, initial=0.0).reshape(-1)

    def columns(self) -> np.ndarray:
        """Largest magnitude by input channel."""
        return self.sizes.max(axis=1, initial=0.0).reshape(-1)

    def least_scale(self) -> np.ndarray:
        """By which channels may be divided so that no bias gets larger than the largest."""
        bias = np.zeros(1) if self.bias is None else np.abs(self.bias.reshape(-1) * self._rows)
        return bias / max(bias.max(initial=0.0), _TINY)

    def scale_rows(self, factor: np.ndarray) -> None:
        self._rows *= factor
        self.sizes *= factor.reshape(self.group, -1, 1)

    def scale_columns(self, factor: np.ndarray) -> None:
        self._columns *= factor
        self.sizes *= factor.reshape(self.group, 1, -1)

    def write(self, net: Net) -> None:
        factor = self._rows.reshape(self.group, -1, 1, 1) * self._columns.reshape(self.group, 1, -1, 1)
        weight = np.empty_like(self.weight)
        np.multiply(self._by_input(self.weight), factor, out=self._by_input(weight), casting="same_kind")
        self.op.input[1] = net.add_weight(f"{self.op.input[1]}_equalized", weight)
        if self.bias is not None:
            bias = self.bias * self._rows.reshape(self.bias.shape)
            self.op.input[2] = net.add_weight(f"{self.op.input[2]}_equalized", bias)


@dataclass
class _Joint:
    """The layer that writes channels, the layers that read them, and the blobs between. last: channels are the last
    dimension of an image. clips: blob behind a Clip from 0 -> its upper end; held, least: see `bound`."""

    writer: _Layer
    readers: list[_Layer]
    blobs: list[str]
    last: bool
    clips: dict[str, float]
    held: np.ndarray = field(init=False)
    least: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.held, self.least = np.zeros(self.channels, bool), np.zeros(self.channels)

    def bound(self, statistics: Statistics) -> bool:
        """Find which channels reach a limit, and down to which scale the others do not. Whether that is known."""
        shares = [_seen(statistics, blob, self) / np.float32(top) for blob, top in self.clips.items()]
        reached = np.max(shares, axis=0)
        self.held = reached >= 1
        self.least = np.minimum(reached * (1 + UNSEEN / statistics.samples), 1.0)
        return all(share.any() for share in shares)

    def within(self, scale: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """The scales, relative to those of the channels that are held, that leave what was seen as it is."""
        moves = (rows > 0) & (columns > 0)
        if self.held.any():
            common = _scale(rows[self.held].max(), columns[self.held].max())
        else:
            bounded = moves & (self.least > 0)
            common = (scale[bounded] / self.least[bounded]).min(initial=1.0)
        return np.where(self.held, 1.0, np.maximum(np.where(moves, scale / common, 1.0), self.least))

    @property
    def channels(self) -> int:
        return len(self.writer.weight)

    def columns(self) -> np.ndarray:
        """Largest magnitude by channel of the readers' weights."""
        return np.max([reader.columns() for reader in self.readers], axis=0)

    def limits(self) -> tuple[np.ndarray, np.ndarray]:
        """Between which scales no weight gets a larger range than it has."""
        rows, columns = self.writer.rows(), self.columns()
        return rows / max(rows.max(), _TINY), columns.max() / np.maximum(columns, _TINY)

    def apply(self, scale: np.ndarray) -> None:
        """Divide what is written by the scale of each channel, and make up for it in what is read."""
        self.least = self.least / scale
        self.writer.scale_rows(1 / scale)
        for reader in self.readers:
            reader.scale_columns(scale)


def _scale(r1: np.ndarray, r2: np.ndarray) -> np.ndarray:
    """sqrt(r1 r2) / r2, and 1 for a channel that is 0 in one of them."""
    there = (r1 > 0) & (r2 > 0)
    return np.sqrt(np.where(there, r1, 1.0) / np.where(there, r2, 1.0))


def _even_out(joint: _Joint) -> float:
    """One step of `cross_layer`; how far the scales were from 1."""
    rows, columns = joint.writer.rows(), joint.columns()
    scale = _scale(rows, columns)
    if joint.clips:
        scale = joint.within(scale, rows, columns)
    scale = np.maximum(scale, joint.writer.least_scale())
    joint.apply(scale)
    return float(np.abs(np.log(scale)).max(initial=0.0))


def _seen(statistics: Statistics, name: str, joint: _Joint) -> np.ndarray:
    """Largest magnitude by channel of a blob of the joint; all 0 where it is not known."""
    blob = statistics.blobs.get(name)
    maxima = None if blob is None or (joint.last and len(blob.shape) == 3) else blob.maxima
    if maxima is None or maxima.size % joint.channels or not np.isfinite(maxima).all():
        return np.zeros(joint.channels)
    by_channel = maxima.reshape(-1, joint.channels).T if joint.last else maxima.reshape(joint.channels, -1)
    return np.float64(by_channel.max(axis=1, initial=0.0))


def _joints(net: Net) -> Iterator[_Joint]:
    """All places where a layer's channels go to layers alone, through homogeneous functions alone."""
    readers = net.readers()
    layers = {id(op): layer for op in net.ops if (layer := _layer(net, op)) is not None}
    last = any(arguments(op).string("order", "NCHW") == "NHWC" for op in net.ops if op.type in ("Conv", *POOLS))
    for op in net.ops:
        blobs: list[str] = []
        clips: dict[str, float] = {}
        if id(op) in layers and (found := _followers(net, op.output[0], readers, layers, blobs, clips)):
            joint = _Joint(layers[id(op)], found, blobs, last, clips)
            if all(r.weight[0].size * r.group % joint.channels == 0 for r in found):
                yield joint


def _layer(net: Net, op: OperatorDef) -> _Layer | None:
    """A layer whose weights can change."""
    args = arguments(op)
    if op.type not in LAYERS or op.engine or args.int("axis", 1) != 1 or args.int("axis_w", 1) != 1:
        return None
    values = [net.weight(name) for name in op.input[1:]]
    if net.weight(op.input[0]) is not None:
        return None
    if not all(v is not None and v.dtype == np.float32 and np.isfinite(v).all() for v in values):
        return None
    weight, *bias = values
    assert weight is not None
    return _Layer(op, weight, bias[0] if bias else None)


def _followers(
    net: Net,
    name: str,
    readers: dict[str, list[OperatorDef]],
    layers: dict[int, _Layer],
    blobs: list[str],
    clips: dict[str, float],
) -> list[_Layer]:
    """The layers that read a blob, directly or not; none when anything else does. blobs, clips: get those on the way,
    see `_Joint`."""
    blobs.append(name)
    found: list[_Layer] = []
    if name in net.kept:
        return []
    for op in readers.get(name, []):
        if id(op) in layers and op.input[0] == name:
            found.append(layers[id(op)])
            continue
        top = upper_end(op)
        if op.type not in HOMOGENEOUS and top is None:
            return []
        if op.engine or len(op.output) != 1 or arguments(op).int("axis", 1) != 1:
            return []
        if top is not None and top < np.inf:
            clips[op.output[0]] = top
        behind = _followers(net, op.output[0], readers, layers, blobs, clips)
        if not behind:
            return []
        found += behind
    return found


def _rename(net: Net, blobs: list[str]) -> None:
    new = {name: net.unique(f"{name}_equalized") for name in blobs}
    for op in net.ops:
        op.input[:] = [new.get(name, name) for name in op.input]
        op.output[:] = [new.get(name, name) for name in op.output]
