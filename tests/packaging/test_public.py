"""The front door: names, stubs, documents that are written from the code."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from small_nets import conv, nets_of, random

import serverquant
from serverquant import core
from serverquant.cli import catalogue
from serverquant.proto.io import save

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", serverquant.__all__)
def test_every_public_name_exists(name):
    assert getattr(serverquant, name) is not None
    assert name in dir(serverquant)


def test_a_wrong_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'laod'"):
        _ = serverquant.laod


def test_the_stub_has_the_same_names():
    tree = ast.parse((ROOT / "serverquant/__init__.pyi").read_text())
    stubbed = {
        alias.asname or alias.name
        for node in tree.body
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for alias in node.names
    }
    stubbed |= {node.target.id for node in tree.body if isinstance(node, ast.AnnAssign)}
    stubbed |= {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert set(serverquant.__all__) <= stubbed


NATIVE_DEF = re.compile(r"^def (\w+)\((.*?)\)(?: -> [^\n]+)?:$", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("stub", sorted((ROOT / "serverquant").rglob("_[a-z]*.pyi")), ids=lambda path: path.stem)
def test_stubs_of_native_modules_have_their_functions(stub):
    """Same functions, same parameters by name, in the same order."""
    source = {name: names_of(text) for name, text in NATIVE_DEF.findall(stub.with_suffix(".pyx").read_text())}
    for node in ast.parse(stub.read_text()).body:
        if isinstance(node, ast.FunctionDef):
            assert [a.arg for a in node.args.args + node.args.kwonlyargs] == source.pop(node.name), node.name
    assert not [name for name in source if not name.startswith("_")]


def names_of(parameters: str) -> list[str]:
    """Names from the parameters of a Cython function, whose types stand before them."""
    plain = re.sub(r"\[[^\]]*\]", " ", parameters)  # the commas and colons of memoryviews
    parts = [part.split("=")[0].split(":")[0].strip() for part in plain.split(",")]
    return [re.split(r"[\s\]]+", part)[-1] for part in parts if part and part not in "*/"]


def test_the_catalogue_page_is_fresh():
    code = (
        "from serverquant.cli.catalogue import markdown; print(markdown(), end='')"  # without operators of other tests
    )
    fresh = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert (ROOT / "docs/operators.md").read_text() == fresh, "run serverquant ops --markdown > docs/operators.md"


def test_every_operator_is_documented():
    for entry in catalogue.entries():
        if entry["engines"][0]["file"].startswith("serverquant/"):
            assert entry["doc"], entry["type"]
            for argument in entry["arguments"]:
                assert argument["doc"], f"{entry['type']}: {argument['name']}"


def test_links_in_documents_lead_somewhere():
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def run_blocks(page: str, folder: Path, **files: object) -> None:
    """The blocks of a page run one after the other, in one namespace, from a folder."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
    assert blocks
    given = [f"import numpy\n{name} = numpy.load({str(path)!r})" for name, path in files.items()]
    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    subprocess.run(
        [sys.executable, "-c", "\n".join([*given, *blocks])],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": paths},
        check=True,
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("page", ["README.md", "docs/quickstart.md"])
def test_python_in_documents_runs(page):
    run_blocks(page, ROOT)


def test_python_about_quantizing_runs(tmp_path):
    """In a folder with a net for colour images, and some of these."""
    pillow = pytest.importorskip("PIL.Image")
    ops = [
        conv("x", "conv1", "w"),
        core.CreateOperator("AveragePool", ["conv1"], ["pool"], global_pooling=1),
        core.CreateOperator("FC", ["pool", "v", "b"], ["fc1"]),
        core.CreateOperator("FC", ["fc1", "v", "b"], ["out"]),
    ]
    init, predict = nets_of(ops, outputs=["out"], w=random(4, 3, 3, 3), v=random(4, 4), b=random(4))
    save(init, tmp_path / "init_net.pb")
    save(predict, tmp_path / "predict_net.pb")
    (tmp_path / "photos").mkdir()
    pillow.new("RGB", (32, 32), (10, 200, 90)).save(tmp_path / "photos" / "one.png")
    np.save(tmp_path / "images.npy", random(3, 3, 8, 8))
    path = tmp_path / "images.npy"
    run_blocks("docs/quantize.md", tmp_path, images=path, test_images=path)
    assert (tmp_path / "out" / "report.json").exists()
