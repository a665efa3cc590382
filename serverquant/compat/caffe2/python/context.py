"""Objects that are the current one of their class inside `with`, in every thread by itself."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any

_stacks = threading.local()


def _stack(cls: type) -> list[Any]:
    return _stacks.__dict__.setdefault("by_class", {}).setdefault(cls, [])


class Managed:
    """`with Thing() as t:` makes t the current Thing, and the current one of every managed class that Thing derives
    from. An object is a decorator too."""

    @classmethod
    def current(cls, value: Any = None, required: bool = True) -> Any:
        """`value` if it is given, else the innermost one. Without any: None, or AssertionError if `required`."""
        if value is not None:
            assert isinstance(value, cls), f"expected a {cls.__name__}, not a {type(value).__name__}"
            return value
        stack = _stack(cls)
        if not stack and required:
            cls._without(stack)
        return stack[-1] if stack else None

    @classmethod
    def _without(cls, stack: list[Any]) -> None:
        raise AssertionError(f"there is no current {cls.__name__}")

    def _classes(self) -> list[type]:
        return [c for c in type(self).__mro__ if issubclass(c, Managed) and c not in (Managed, DefaultManaged)]

    def __enter__(self) -> Any:
        for cls in self._classes():
            _stack(cls).append(self)
        return self

    def __exit__(self, *exc: Any) -> None:
        for cls in self._classes():
            assert _stack(cls).pop() is self, f"{cls.__name__}: contexts end in another order than they began"

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def inside(*args: Any, **kwargs: Any) -> Any:
            with self:
                return function(*args, **kwargs)

        return inside


class DefaultManaged(Managed):
    """One is made when there is none."""

    @classmethod
    def _without(cls, stack: list[Any]) -> None:
        stack.append(cls())
