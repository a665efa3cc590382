"""Libraries of operators: there are none to load, all operators are built in."""

from __future__ import annotations

_loaded: list[str] = []


def InitOpsLibrary(name: str, trigger_lazy: bool = True) -> None:
    _loaded.append(name)


def GetImportedOpsLibraries() -> list[str]:
    return list(_loaded)
