"""Builds serverquant: see serverquant/native_build.py, which is installed too."""

import runpy
from pathlib import Path

runpy.run_path(str(Path(__file__).parent / "serverquant" / "native_build.py"), run_name=__name__)
