"""The page of Caffe2's operators is fresh, and its list is true."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from serverquant.runtime import registry

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.fixture(scope="module")
def script() -> dict:
    return runpy.run_path(str(DOCS / "caffe2_operators.py"))


def test_the_page_is_fresh(script):
    assert (DOCS / "caffe2_operators.md").read_text() == script["page"](), "run python docs/caffe2_operators.py"


def test_the_list_is_sorted_and_has_no_twins():
    names = [line.split(":")[0] for line in (DOCS / "caffe2_operators.list").read_text().splitlines()[1:]]
    assert names == sorted(set(names))


def test_all_engines_of_the_table_are_here(script):
    lacking = [(t, e) for e, types in script["engines"]().items() for t in types if e not in registry.engines(t)]
    assert not lacking
