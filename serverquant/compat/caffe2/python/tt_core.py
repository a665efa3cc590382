"""Tensor-train layers: none."""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    raise AttributeError(f"there are no tensor-train layers here, and no tt_core.{name}")
