"""What all tests share.

Readers are put on the path: `cases` (nets/), `corpus` and `run` (tests/golden/), `reference` (tests/), `peers`
(benchmarks/). Tests marked `oracle` need the real Caffe2, those marked `browser` a Chromium: they run only when asked
for by that mark.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
for folder in (ROOT / "nets", ROOT / "tests" / "golden", ROOT / "tests", ROOT / "benchmarks"):
    sys.path.insert(0, str(folder))


ONLY_WHEN_ASKED = ("oracle", "browser")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    unasked = [mark for mark in ONLY_WHEN_ASKED if mark not in config.option.markexpr]
    left = [item for item in items if any(item.get_closest_marker(mark) for mark in unasked)]
    config.hook.pytest_deselected(items=left)
    items[:] = [item for item in items if item not in left]
