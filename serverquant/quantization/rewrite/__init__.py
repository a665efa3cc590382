"""Rewrites of a float net that leave its outputs equal: one module a pass, each with `apply(net) -> changes made`.

Another pass is another module here, with its place in ORDER.
"""

from __future__ import annotations

from importlib import import_module

from serverquant.quantization.net import Net

ORDER = (
    "single_assignment",
    "drop_no_ops",
    "layers_as_fc",
    "fold_affine",
    "merge_affine",
    "fold_ahead",
    "swap_relu",
)


def simplify(net: Net) -> dict[str, int]:
    """Apply all passes; how many changes each has made."""
    return {name: import_module(f"{__name__}.{name}").apply(net) for name in ORDER}
