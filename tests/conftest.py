"""What all tests share.

Readers are put on the path: `cases` (nets/), `corpus` and `run` (tests/golden/), `reference` (tests/), `peers`
(benchmarks/). Tests marked `oracle` need the real Caffe2 and run only when asked for by that mark.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
for folder in (ROOT / "nets", ROOT / "tests" / "golden", ROOT / "tests", ROOT / "benchmarks"):
    sys.path.insert(0, str(folder))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if "oracle" in config.option.markexpr:
        return
    config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker("oracle")])
    items[:] = [item for item in items if not item.get_closest_marker("oracle")]
