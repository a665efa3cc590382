"""The catalogue of operators, from their schemas: for `serverquant ops` and the page docs/operators.md."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import serverquant
import serverquant.ops
from serverquant.runtime import registry
from serverquant.runtime.operator import PythonOperator
from serverquant.runtime.schema import MANY

ROOT = Path(serverquant.__file__).parent.parent
HEAD = """# Operators

Written by `serverquant ops --markdown` from the schemas; do not edit. "native" runs without the interpreter, "Python"
is a numpy body. Arguments without a default are optional unless said otherwise.
"""


def entries() -> list[dict[str, Any]]:
    """Every operator type, sorted."""
    return [entry(name) for name in registry.types()]


def entry(op_type: str) -> dict[str, Any]:
    """What is known of a type; UnknownOperatorError with the closest names."""
    schema = registry.schema(op_type)
    return {
        "type": op_type,
        "doc": schema.doc,
        "inputs": _count(schema.inputs),
        "outputs": _count(schema.outputs),
        "input_docs": schema.in_doc,
        "output_docs": schema.out_doc,
        "inplace": schema.inplace if isinstance(schema.inplace, str) else [list(pair) for pair in schema.inplace],
        "any_argument": schema.takes_anything,
        "arguments": [
            {"name": a.name, "kind": a.kind, "default": a.default, "doc": a.doc} for a in schema.args.values()
        ],
        "engines": [_engine(op_type, engine) for engine in registry.engines(op_type)],
    }


def _engine(op_type: str, engine: str) -> dict[str, Any]:
    cls = registry.operator_class(op_type, engine)
    if cls is None:
        return {"engine": engine, "body": "", "file": "", "doc": "", "runs": False, "reason": "its module did not load"}
    # A step with a Python body calls the operator's `call`.
    body = "Python" if issubclass(cls, PythonOperator) or hasattr(cls, "call") else "native"
    return {
        "engine": engine,
        "body": body,
        "file": _file(cls),
        "doc": inspect.getdoc(cls) or "",
        "runs": True,
        "reason": "",
    }


def _file(cls: type) -> str:
    path, _, line = registry.where(cls).rpartition(":")
    try:
        return f"{Path(path).relative_to(ROOT)}:{line}"
    except ValueError:
        return registry.where(cls)


def _count(limits: tuple[int, int]) -> str:
    least, most = limits
    return f"{least}" if least == most else f"{least} or more" if most == MANY else f"{least} to {most}"


def _default(arg: dict[str, Any]) -> str:
    value = arg["default"]
    if value is None:
        return ""
    return f"{value:.9g}" if isinstance(value, float) else str(value)


def text(entry: dict[str, Any]) -> str:
    """One operator for a terminal."""
    lines = [entry["type"], f"  {entry['doc']}".rstrip(), f"  inputs: {entry['inputs']}   outputs: {entry['outputs']}"]
    lines += [f"    in   {line}" for line in entry["input_docs"]] + [
        f"    out  {line}" for line in entry["output_docs"]
    ]
    if entry["inplace"]:
        lines.append(f"  in place: {_pairs(entry['inplace'])}")
    lines += ["  arguments:"] * bool(entry["arguments"])
    for arg in entry["arguments"]:
        default = _default(arg)
        lines.append(f"    {arg['name']} ({arg['kind']}{', default ' + default if default else ''}): {arg['doc']}")
    for engine in entry["engines"]:
        first = (engine["doc"].splitlines() or [""])[0]
        lines.append(f"  engine {engine['engine'] or 'default'} ({engine['body']}, {engine['file']}): {first}")
    return "\n".join(lines) + "\n"


def _pairs(inplace: Any) -> str:
    return inplace if isinstance(inplace, str) else ", ".join(f"input {i} as output {j}" for i, j in inplace)


def markdown() -> str:
    """The page docs/operators.md: types that share a schema share a section."""
    groups: dict[int, list[dict[str, Any]]] = {}
    for name in registry.types():
        groups.setdefault(id(registry.schema(name)), []).append(entry(name))
    return HEAD + "".join(map(_section, groups.values()))


def _section(group: list[dict[str, Any]]) -> str:
    first = group[0]
    lines = ["", f"## {', '.join(e['type'] for e in group)}", "", first["doc"], ""]
    lines += [f"- inputs: {first['inputs']}", *(f"  - {line}" for line in first["input_docs"])]
    lines += [f"- outputs: {first['outputs']}", *(f"  - {line}" for line in first["output_docs"])]
    if first["inplace"]:
        lines.append(f"- in place: {_pairs(first['inplace'])}")
    for e in group:
        how = ", ".join(
            f"{i['engine'] or 'default'} ({i['body']}, `{i['file'].rpartition(':')[0]}`)" for i in e["engines"]
        )
        lines.append(f"- engines of {e['type']}: {how}")
    if first["arguments"]:
        lines += ["", "| argument | type | default | |", "|---|---|---|---|"]
        lines += [
            f"| {a['name']} | {a['kind']} | {_default(a)} | {a['doc'].replace('|', chr(92) + '|')} |"
            for a in first["arguments"]
        ]
    return "\n".join(line.rstrip() for line in lines) + "\n"
