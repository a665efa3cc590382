"""Puts the shared readers on the path.

`cases` (nets/), `corpus` and `run` (tests/golden/), `reference` (tests/), `peers` (benchmarks/).
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
for folder in (ROOT / "nets", ROOT / "tests" / "golden", ROOT / "tests", ROOT / "benchmarks"):
    sys.path.insert(0, str(folder))
