"""Functions that operators of type Python call, by the token that the operator's definition carries."""

from __future__ import annotations

import hashlib
import itertools
import pickle
from collections.abc import Callable
from typing import Any

from serverquant._base.errors import ArgumentError
from serverquant.runtime.options import options

_numbers = itertools.count()
_functions: dict[str, tuple[Callable[..., Any], bool]] = {}
_trusted: set[bytes] = set()


def add(function: Any, pass_workspace: bool = False, kind: Any = None) -> str:
    """Keep a function for the process's life and return its token.

    function: called with lists of inputs and outputs; or (builder, args, kwargs), which makes it. kind: a class made
    from `function`, whose `forward` is called.
    """
    if kind is not None:
        function = kind(function).forward
    elif isinstance(function, tuple):
        function = build(function)
    if not callable(function):
        raise ArgumentError(f"a Python operator calls a function, not a {type(function).__name__}")
    token = f"{getattr(function, '__name__', 'function')}:{next(_numbers)}"
    _functions[token] = function, pass_workspace
    return token


def pickled(made_by: tuple[Any, ...]) -> bytes:
    """(builder, args, kwargs) as bytes for a net; this process will believe them."""
    builder, args, keywords = made_by
    data = pickle.dumps((builder, tuple(args), dict(keywords)))
    _trusted.add(hashlib.sha256(data).digest())
    return data


def unpickled(data: bytes) -> Any:
    """The function that such bytes build. ArgumentError for bytes of another process, whose author's code would run,
    unless options.trust_pickled_operators."""
    if not options.trust_pickled_operators and hashlib.sha256(data).digest() not in _trusted:
        raise ArgumentError(
            "the net brings along a pickled Python function that this process has not made; unpickling it runs its "
            "author's code. Set options.trust_pickled_operators if you trust the net"
        )
    return build(pickle.loads(data))


def build(made_by: tuple[Any, ...]) -> Any:
    """The function that (builder, args, kwargs) makes."""
    if len(made_by) != 3 or not callable(made_by[0]):
        raise ArgumentError("a Python operator is built by a tuple (builder, args, kwargs)")
    builder, args, keywords = made_by
    return builder(*args, **keywords)


def get(token: str) -> tuple[Callable[..., Any], bool]:
    """The function and whether it gets the workspace; ArgumentError for a token of another process."""
    if token not in _functions:
        raise ArgumentError(
            f'no function goes by the token "{token}": a Python operator runs in the process that made it; '
            "give net.Python a tuple (builder, args, kwargs) to take it elsewhere"
        )
    return _functions[token]
