"""Arithmetic on small integers that follow from shapes, done while planning."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from serverquant.blobs.spec import Spec
from serverquant.runtime.schema import values_that_follow


def towards_zero(a: np.ndarray, b: np.ndarray) -> np.ndarray | None:
    """a / b of integers; None where the run has to say that b is 0."""
    return None if np.any(b == 0) else (a - np.fmod(a, b)) // b


ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "Add": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "Div": towards_zero,
}


def arithmetic_values(op: Any, ins: list[Spec]) -> Any:
    """Rule for `values` of ARITHMETIC, with numpy's broadcast only."""
    values = None if op.args.broadcast else values_that_follow(ins)
    return None if values is None else ARITHMETIC[op.type](*values)
