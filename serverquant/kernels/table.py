"""Every kernel of the library as Python objects: what tests, benchmarks and the `kernels` listing walk."""

from __future__ import annotations

import importlib
import pkgutil
from importlib.util import find_spec

from serverquant import kernels
from serverquant.kernels.row import KernelRow

__all__ = ["KernelRow", "families", "rows"]


def families() -> list[str]:
    """Names of the families that have a table: folders below `serverquant/kernels` with a native module `_<name>`.

    A family with an empty table, or none, runs the rows of other families (conv those of gemm and dwconv).
    """
    folders = sorted(module.name for module in pkgutil.iter_modules(kernels.__path__) if module.ispkg)
    return [name for name in folders if find_spec(_module(name)) and _native_rows(name)]


def _module(family: str) -> str:
    return f"serverquant.kernels.{family}._{family}"


def _native_rows(family: str) -> list[KernelRow]:
    native = importlib.import_module(_module(family))
    return native.rows() if hasattr(native, "rows") else []


def rows(family: str | None = None) -> list[KernelRow]:
    """The rows of one family, or of all, each family in its order of preference.

    An unknown family raises ModuleNotFoundError.
    """
    return [row for name in ([family] if family else families()) for row in _native_rows(name)]
