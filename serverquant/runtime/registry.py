"""(type, engine) -> operator class, and type -> schema.

Built-in operators load on first use, from an index of their modules (`add_index`). Engines are tried as in Caffe2:
those that the operator names (a comma list), the preference for its type, the global preference, the default. An engine
without an implementation is passed over; one that declines the case (`Decline`) too, and the reason is kept.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterable
from typing import Any

from serverquant._base.errors import NetError, UnknownOperatorError
from serverquant.blobs.store import closest
from serverquant.runtime.operator import Decline, Definition, Operator, function_operator
from serverquant.runtime.options import options
from serverquant.runtime.schema import MANY, Schema

_schemas: dict[str, Schema] = {}
_classes: dict[tuple[str, str], type[Operator]] = {}
_index: dict[str, tuple[str, ...]] = {}
_loaded: set[str] = set()
_modules: set[str] = set()  # of the index


def add_index(index: dict[str, tuple[str, ...]]) -> None:
    """Modules to import before the first use of each type."""
    _index.update(index)
    for modules in index.values():
        _modules.update(modules)


def declare(*types: str, **rules: Any) -> Schema:
    """Make the schema of some types; see `Schema` for the rules."""
    schema = Schema(*types, **rules)
    for name in types:
        if name in _schemas:
            raise NetError(f"operator type {name} has a schema already")
        _schemas[name] = schema
    return schema


def register(*types: str, engine: str = "", replace: bool = False, **rules: Any) -> Callable[[Any], Any]:
    """Decorator: the operator class (or a function of arrays) that runs these types with this engine.

    A type without a schema gets one from `rules` (see `Schema`); without `inputs` and `outputs` any number goes. With
    `replace` an earlier registration is replaced, otherwise it is an error that says where that one is.

        @register("SwishBeta")
        def swish_beta(x, beta=1.0):
            return x / (1 + numpy.exp(-beta * x))
    """

    def add(target: Any) -> Any:
        cls: Any = target if inspect.isclass(target) else function_operator(target, rules)
        for name in types:
            _load(name, schema_only=target.__module__ in _modules)
            found = _classes.get((name, engine))
            if found is not None and not replace:
                raise NetError(
                    f'operator {name}{with_engine(engine)} is registered already, in {where(found)}; '
                    "replace=True takes its place"
                )
            declared = rules.get("int8", "")
            if name not in _schemas or (replace and rules):
                free = {"inputs": (0, MANY), "outputs": (0, MANY), "inplace": "any", "args": None, "effects": None}
                _schemas[name] = Schema(name, **{**free, **rules})
            elif declared and declared != _schemas[name].int8:
                raise NetError(
                    f"operator {name} has a schema, and so an int8 form or none: {declared} cannot become that of one "
                    "of its engines; replace=True takes its place"
                )
            _classes[name, engine] = cls
        return target

    return add


def _load(name: str, schema_only: bool = False) -> None:
    """Import a built-in type's modules. While these themselves are imported, schemas alone: two modules of a family may
    need each other's types registered, but never each other's classes at that time."""
    for module in _index.get(name, ()):
        if module not in _loaded and not (schema_only and not module.rpartition(".")[2].startswith("schema")):
            _loaded.add(module)
            importlib.import_module(module)


def load_all() -> None:
    """Import every built-in operator."""
    for name in _index:
        _load(name)


def types() -> list[str]:
    """All operator types, sorted; built-in ones need not be loaded for this."""
    return sorted({name for name, _ in _classes} | set(_index))


def engines(op_type: str) -> list[str]:
    """Engines that a type has; "" is the default one."""
    _load(op_type)
    return sorted(engine for name, engine in _classes if name == op_type)


def schema(op_type: str) -> Schema:
    """The schema of a type; UnknownOperatorError with the closest names."""
    _load(op_type)
    if op_type not in _schemas:
        raise UnknownOperatorError(f"there is no operator {op_type}{closest(op_type, types())}")
    return _schemas[op_type]


def operator_class(op_type: str, engine: str = "") -> type[Operator] | None:
    _load(op_type)
    return _classes.get((op_type, engine))


def where(cls: type) -> str:
    """File and line of an operator's class."""
    try:
        return f"{inspect.getsourcefile(cls)}:{inspect.getsourcelines(cls)[1]}"
    except (OSError, TypeError):
        return cls.__module__


def with_engine(engine: str) -> str:
    return f" with engine {engine}" if engine else ""


def _wanted(definition: Definition) -> Iterable[str]:
    named = [e.strip() for e in definition.engine.split(",") if e.strip()]
    yield from ("" if e == "DEFAULT" else e for e in named)
    yield from (options.type_engines or {}).get(definition.type, ())
    yield from options.engines
    yield ""


def create(definition: Definition) -> Operator:
    """The operator of a definition, by the first engine that takes it."""
    found = schema(definition.type)
    found.check(definition.type, definition.inputs, definition.outputs)
    refused: list[tuple[str, str]] = []
    for engine in dict.fromkeys(_wanted(definition)):
        cls = _classes.get((definition.type, engine))
        if cls is None:
            refused.append((engine, "not implemented for this operator"))
            continue
        try:
            operator = cls(definition, found)
        except Decline as reason:
            refused.append((engine, str(reason)))
            continue
        operator.engine, operator.refused = engine, refused
        return operator
    has = ", ".join(e or "(default)" for e in engines(definition.type)) or "none"
    tried = "; ".join(f"{e or 'default'}: {why}" for e, why in refused)
    raise UnknownOperatorError(f"cannot create {definition.type}: {tried}. It has these engines: {has}")
