"""Layers: `brew.fc(model, x, y, dim_in, dim_out)`. A layer's defaults come from the model, then from `arg_scope`."""

from __future__ import annotations

import contextlib
import copy
import functools
import inspect
import threading
from collections.abc import Callable, Iterator
from typing import Any

from serverquant.compat.caffe2.python import helpers
from serverquant.compat.caffe2.python.model_helper import ModelHelper

_registry: dict[str, Callable[..., Any]] = dict(helpers.ALL)
_local = threading.local()


@contextlib.contextmanager
def arg_scope(layers: Any, **kwargs: Any) -> Iterator[None]:
    """Arguments that these layers get inside unless told otherwise; the innermost scope wins."""
    before = getattr(_local, "scopes", {})
    inside = {name: dict(arguments) for name, arguments in before.items()}
    for layer in layers if isinstance(layers, (list, tuple)) else [layers]:
        inside.setdefault(layer.__name__, {}).update(kwargs)
    _local.scopes = inside
    try:
        yield
    finally:
        _local.scopes = before


def Register(helper: Callable[..., Any]) -> None:
    """Make a function a layer; AttributeError for a name that is taken."""
    if helper.__name__ in _registry:
        raise AttributeError(f"there is a layer {helper.__name__} already")
    _registry[helper.__name__] = helper


def has_helper(helper: Any) -> bool:
    return (helper if isinstance(helper, str) else helper.__name__) in _registry


def _model_of(args: tuple[Any, ...], kwargs: dict[str, Any]) -> ModelHelper:
    model = kwargs.get("model", args[0] if args else None)
    if not isinstance(model, ModelHelper):
        raise RuntimeError("a layer's first argument is the model")
    return model


def __getattr__(name: str) -> Any:
    helper = _registry.get(name)
    if helper is None:
        raise AttributeError(f"there is no layer {name}")
    parameters = inspect.signature(helper).parameters
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())

    @functools.wraps(helper)
    def layer(*args: Any, **kwargs: Any) -> Any:
        given = copy.deepcopy(_model_of(args, kwargs).arg_scope)
        if not takes_any:
            given = {key: value for key, value in given.items() if key in parameters}
        given.update(getattr(_local, "scopes", {}).get(name, {}))
        given.update(kwargs)
        return helper(*args, **given)

    return layer
