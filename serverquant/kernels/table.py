"""Every kernel of the library as Python objects: what tests, benchmarks and the `kernels` listing walk."""

from __future__ import annotations

import importlib
import pkgutil

from serverquant import kernels
from serverquant.kernels.row import KernelRow

__all__ = ["KernelRow", "families", "rows"]


def families() -> list[str]:
    """Names of the kernel families: the folders below `serverquant/kernels`."""
    return sorted(module.name for module in pkgutil.iter_modules(kernels.__path__) if module.ispkg)


def rows(family: str | None = None) -> list[KernelRow]:
    """The rows of one family, or of all, each family in its order of preference.

    An unknown family raises ModuleNotFoundError.
    """
    found: list[KernelRow] = []
    for name in [family] if family else families():
        module = importlib.import_module(f"serverquant.kernels.{name}._{name}")
        found += module.rows()
    return found
