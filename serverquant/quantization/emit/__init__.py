"""Writes an int8 net: what layers, sums, pools and concatenations compute becomes operators of engine DNNLOWP.

Conv and FC with constant weights are always quantized, the others where what they read is int8 already. Whatever stays
float gets conversions before it and behind it, once for each blob. Int8 blobs of four dimensions are NHWC; in a net of
order NCHW the float side is converted where the two meet.

    relu(z) of an int8 layer: with scale s, zero point 0 and a range of 0 to h, requantizing z saturates at 0 and at
    255 s = h, which is relu, and clip(0, h): the operator behind the layer goes.

One module a family; a maker is a function with `@emits("Type")`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module

from serverquant.qparams import QParams
from serverquant.quantization.emit.forms import Emitted, Layer
from serverquant.quantization.emit.writer import Writer
from serverquant.quantization.net import Net
from serverquant.quantization.rules import Rule
from serverquant.quantization.statistics import Statistics

FAMILIES = ("affine", "declared", "embeddings", "joins", "layers", "matmul", "pools", "recurrent", "shapes", "unary")
for _family in FAMILIES:
    import_module(f"{__name__}.{_family}")  # fills MAKERS

__all__ = ["Emitted", "Layer", "emit"]


def emit(
    net: Net,
    statistics: Statistics,
    params_of: Callable[[str], QParams],
    rules: Mapping[str, Rule],
    target: str = "caffe2",
    pair_safe: bool = False,
    embeddings: str = "fused8",
) -> Emitted:
    """Make the int8 operators; `net.ops` becomes them. params_of: the parameters chosen for a blob. rules: of each
    blob that an operator writes. pair_safe: no weight may make a pair of products saturate. target, embeddings: see
    `ptq.Settings`."""
    writer = Writer(net, statistics, params_of, rules, target, pair_safe, embeddings)
    writer.run()
    net.ops = writer.out.ops
    return writer.out
