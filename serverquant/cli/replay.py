"""An operator of a net as one line of text that runs anywhere: its definition and random inputs of the same kind.

    op { type: "Relu" input: "x" output: "y" } | x=float32:1x24x12x12:-2.5..3.1

Behind each ` | ` an input: type, shape, range of its values; for an Int8 tensor also `:scale:zero point`. Packed
weights have no type: the operator that packs them stands before the one that counts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from serverquant._base.errors import ArgumentError
from serverquant.blobs import dtypes
from serverquant.blobs._blob import Blob
from serverquant.blobs.spec import INT8, TENSOR
from serverquant.cli.feeds import random_array
from serverquant.proto import NetDef
from serverquant.proto.wire import read_net
from serverquant.runtime.nets.simple import SimpleNet
from serverquant.runtime.workspace import Workspace

Maker = Callable[[str], "tuple[Any, list[Blob]] | None"]


def line(message: Any, inputs: list[Blob], maker: Maker = lambda name: None) -> str:
    """The line of an operator; "" when an input cannot be written down.

    maker(name) gives the operator that makes packed weights, and its input blobs.
    """
    operators, described = [message], {}
    for blob in inputs:
        made = maker(blob.name) if blob.kind not in (TENSOR, INT8) else None
        if made:
            operators.insert(0, made[0])
        for source in made[1] if made else [blob]:
            text = _describe(source)
            if not text:
                return ""
            described[source.name] = text
    net = NetDef()
    for operator in operators:
        net.op.add().CopyFrom(operator)
    from google.protobuf import text_format

    definition = text_format.MessageToString(net, as_one_line=True).strip()
    return " | ".join([definition, *(f"{name}={text}" for name, text in described.items())])


def _describe(blob: Blob) -> str:
    spec = blob.spec()
    if spec.kind not in (TENSOR, INT8) or spec.dtype == dtypes.STRING:
        return ""
    values = blob.view()
    low, high = (values.min().item(), values.max().item()) if values.size else (0, 0)
    if not np.isfinite([float(low), float(high)]).all():
        low, high = -1.0, 1.0
    shape = "x".join(map(str, spec.dims)) or "scalar"
    text = (
        f"{dtypes.NUMPY[spec.dtype]}:{shape}:{low:.9g}..{high:.9g}"
        if values.dtype.kind == "f"
        else (f"{dtypes.NUMPY[spec.dtype]}:{shape}:{int(low)}..{int(high)}")
    )
    return text + (f":{blob.scale:.9g}:{blob.zero_point}" if spec.kind == INT8 else "")


def prepare(text: str, seed: int = 0) -> tuple[SimpleNet, int]:
    """(the line's net, ready to run; how many operators come before the one that counts)."""
    definition, *inputs = text.split(" | ")
    space, random = Workspace(), np.random.default_rng(seed)
    for item in inputs:
        name, _, rest = item.rpartition("=")
        _feed(space.create(name), rest.strip(), item, random)
    file = read_net(definition.strip().encode())
    return space.bind(file), len(file.net.op) - 1


def _feed(blob: Blob, text: str, item: str, random: np.random.Generator) -> None:
    try:
        dtype, shape, limits, *parameters = text.split(":")
        low, _, high = limits.partition("..")
        dims = () if shape == "scalar" else tuple(int(n) for n in shape.split("x"))
        wide = float(low), float(high)
        values = random_array(random, dims, dtype, *wide)
        scale_and_zero = (float(parameters[0]), int(parameters[1])) if parameters else None
    except (ValueError, TypeError, IndexError) as error:
        raise ArgumentError(f"'{item}' is not NAME=TYPE:SHAPE:LOW..HIGH[:SCALE:ZERO_POINT]") from error
    if scale_and_zero:
        blob.feed_int8(values, *scale_and_zero)
    else:
        blob.feed(values)
