"""Programs written for Caffe2 run on serverquant: an import hook that answers to `caffe2` and what is below it.

    import serverquant.compat
    serverquant.compat.install()
    from caffe2.python import core, workspace           # serverquant's

    python -m serverquant.compat script.py              # the same for a whole program
    python -m serverquant.compat -m pytest some_test.py

Opt-in: nothing named caffe2 exists until `install()` is called, and a Caffe2 that was imported before is an error. The
modules are those below `compat/caffe2`; most of them only give serverquant's own under Caffe2's names. A module that is
not there raises ImportError, as does a name.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from serverquant._base import errors

_PLACE = "serverquant.compat.caffe2"
ENFORCE = "[enforce fail] "  # what programs look for in the messages of Caffe2's errors


class _Loader(importlib.abc.Loader):
    """Gives a module of ours under its Caffe2 name: one module, two names."""

    def __init__(self, name: str):
        self.name = name
        self.spec: Any = None

    def create_module(self, spec: Any) -> ModuleType:
        module = importlib.import_module(self.name)
        self.spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self.spec  # importlib has put the other name's there


class _Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name: str, path: Sequence[str] | None, target: Any = None) -> Any:
        if name != "caffe2" and not name.startswith("caffe2."):
            return None
        ours = _PLACE + name.removeprefix("caffe2")
        try:
            found = importlib.util.find_spec(ours)
        except ModuleNotFoundError:
            return None
        if found is None:
            return None
        return importlib.machinery.ModuleSpec(
            name, _Loader(ours), is_package=found.submodule_search_locations is not None
        )


_finder = _Finder()


def install() -> None:
    """Let `import caffe2...` give serverquant's modules from now on, in this process. May be called again.

    ImportError if another caffe2 has been imported already.
    """
    if _finder in sys.meta_path:
        return
    if "caffe2" in sys.modules:
        raise ImportError(f"caffe2 has been imported already, from {getattr(sys.modules['caffe2'], '__file__', '?')}")
    # Which implementation of protobuf there is, is settled here: programs of old ask for one that is no more.
    importlib.import_module("google.protobuf.descriptor_pool")
    errors.ServerquantError.prefix = ENFORCE
    sys.meta_path.insert(0, _finder)


def uninstall() -> None:
    """Undo `install`; modules that have been imported stay with those who have them."""
    if _finder in sys.meta_path:
        sys.meta_path.remove(_finder)
        errors.ServerquantError.prefix = ""
    for name in [n for n in sys.modules if n == "caffe2" or n.startswith("caffe2.")]:
        del sys.modules[name]
