"""Writes `_index.py`: operator type -> modules to import before its first use, from the decorators in the sources.

Every build does so; after adding an operator to a built tree, `python serverquant/ops/make_index.py`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent
CALLS = ("declare", "register")
HEAD = '"""Operator type -> its modules. Written by make_index.py."""\n\nMODULES: dict[str, tuple[str, ...]] = {\n'


def types_in(source: str) -> Iterator[str]:
    """String arguments of every call of declare() and register()."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and getattr(node.func, "id", None) in CALLS:
            for argument in node.args:
                value = argument.value if isinstance(argument, ast.Starred) else argument
                for item in value.elts if isinstance(value, (ast.Tuple, ast.List)) else [value]:
                    if isinstance(item, ast.Constant) and isinstance(item.value, str):
                        yield item.value


def modules() -> dict[str, tuple[str, ...]]:
    """A family's schemas (schema*.py) come first: an engine's class is registered under its type's schema."""
    found: dict[str, list[str]] = {}
    for file in sorted(HERE.glob("*/*.py"), key=lambda f: (not f.stem.startswith("schema"), f)):
        family = f"serverquant.ops.{file.parent.name}"
        for name in types_in(file.read_text()):
            listed = found.setdefault(name, [f"{family}.schema"] if (file.parent / "schema.py").exists() else [])
            if f"{family}.{file.stem}" not in listed:
                listed.append(f"{family}.{file.stem}")
    return {name: tuple(found[name]) for name in sorted(found)}


def text() -> str:
    rows = []
    for name, where in modules().items():
        listed = "".join(f'\n        "{m}",' for m in where)
        rows.append(f'    "{name}": ({listed}\n    ),\n')
    return HEAD + "".join(rows) + "}\n"


def write() -> None:
    (HERE / "_index.py").write_text(text())


if __name__ == "__main__":
    write()
