"""Who may import whom: the direction of imports between the rooms, read from the sources."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "serverquant"

# room -> rooms that it may import, besides itself
BELOW = {
    "_base": set(),
    "kernels": {"_base"},
    "qparams": {"_base", "kernels"},
    "proto": {"_base"},
    "blobs": {"_base", "proto"},
    "runtime": {"_base", "proto", "blobs"},
    "ops": {"_base", "proto", "blobs", "runtime", "kernels", "qparams"},
    # asks the registry and runs nets through the faces: it imports no operator
    "quantization": {"_base", "proto", "blobs", "runtime", "qparams", "core", "workspace", "predictor"},
    "native_build": set(),  # runs before there is anything to import
}
FACES = ("core", "workspace", "predictor", "compat", "cli")  # on top: they may import everything below them
CIMPORT = re.compile(r"^\s*(?:from\s+(serverquant[\w.]*)\s+c?import|c?import\s+(serverquant[\w.]*))", re.MULTILINE)


def room(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


def python_imports(text: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, "imports are absolute here"
            # `from serverquant import proto` imports the room, not the package
            yield from (
                [f"serverquant.{a.name}" for a in node.names] if node.module == "serverquant" else [node.module]
            )


def cython_imports(text: str) -> Iterator[str]:
    for found in CIMPORT.finditer(text):
        yield found.group(1) or found.group(2)


def sources() -> list[Path]:
    return sorted(p for s in ("*.py", "*.pyx", "*.pxd") for p in PACKAGE.rglob(s))


@pytest.mark.parametrize("name", [*BELOW, *FACES])
def test_a_room_imports_only_rooms_below_it(name):
    wrong = []
    for path in sources():
        if path.relative_to(PACKAGE).parts[0].removesuffix(".py") != name:
            continue
        read = python_imports if path.suffix == ".py" else cython_imports
        for module in read(path.read_text()):
            if module.split(".")[0] != "serverquant" or room(module) in ("", "__version__", name):
                continue
            allowed = BELOW.get(name, {*BELOW, *FACES})
            if room(module) not in allowed:
                wrong.append(f"{path.relative_to(PACKAGE)} imports {module}")
    assert not wrong


def test_every_room_has_a_rule():
    rooms = {p.name.removesuffix(".py") for p in PACKAGE.iterdir() if (p / "__init__.py").exists() or p.suffix == ".py"}
    assert rooms - {"__init__"} == {*BELOW, *FACES}


def test_faces_do_not_import_the_command_line():
    for name in FACES[:-1]:
        for path in [*PACKAGE.glob(f"{name}.py"), *(PACKAGE / name).rglob("*.py")]:
            assert "serverquant.cli" not in " ".join(python_imports(path.read_text())), path


def test_the_reader_sees_all_forms():
    text = (
        "from serverquant.blobs._blob cimport Blob\ncimport serverquant._base._isa\n    from serverquant.ops import x\n"
    )
    assert list(cython_imports(text)) == ["serverquant.blobs._blob", "serverquant._base._isa", "serverquant.ops"]
    assert list(python_imports("import os\nfrom serverquant import proto, core\n")) == [
        "os",
        "serverquant.proto",
        "serverquant.core",
    ]
