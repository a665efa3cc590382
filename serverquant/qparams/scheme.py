"""How parameters of a tensor are to be chosen, as a value that nets can carry.

Int8GenQuantParams reads a blob that holds a `QuantScheme` and writes one that holds a `QParams`. Whoever makes such
blobs from outside feeds these objects: `blob.feed_object(QuantScheme("P99_QUANTIZATION", True))`.
"""

from __future__ import annotations

from typing import NamedTuple


class QuantScheme(NamedTuple):
    """kind: of quantization, in Caffe2's words or ours. preserve_sparsity: symmetric parameters."""

    kind: str = "MIN_MAX_QUANTIZATION"
    preserve_sparsity: bool = False
