"""Operators that move values without changing them."""

from __future__ import annotations

import numpy as np

from serverquant.proto import OperatorDef
from serverquant.quantization.emit.writer import Quantized, Stays, Writer, emits


@emits("Flatten", "Reshape")
def flatten(w: Writer, op: OperatorDef) -> None:
    """Flatten at axis 1, and Reshape to the same, cost nothing: an FC that reads it takes the image as it is."""
    x, name = w.only_int8(op), op.output[0]
    if w.shape(name) != (np.prod(w.shape(op.input[0]), dtype=int),):
        raise Stays("it does more than to join all dimensions but the first")
    if any(reader.type != "FC" for reader in w.readers.get(name, [])) or name in w.net.kept:
        raise Stays("others than FC read it")
    if any(other in w.readers or other in w.net.kept for other in op.output[1:]):
        raise Stays("its second output is read")
    unflat = w.shape(op.input[0]) if w.is_image(op.input[0]) else None
    w.int8[name] = Quantized(x.name, x.params, unflat)
    w.flattens[name] = op
    w.out.quantized[name] = "(none)"
