"""Makes `.venv-oracle`: a Python 3.9 with the real Caffe2 1.8.1, the judge of `make test-oracle` and of the benchmarks.

    python3 benchmarks/peers/setup_oracle.py [--dir FOLDER]

Caffe2 lives in the wheel `torch==1.8.1` (750 MB to download, x86-64 with AVX2 and FMA only); serverquant itself does
not want it. The Python 3.9 is the one that the environment variable PYTHON39 names, else pyenv's newest 3.9, else
`python3.9` on the path. Standard library only: any Python from 3.8 runs this. A folder that works is left alone.
"""

from __future__ import annotations

import argparse
import glob
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# protobuf from 3.21 refuses Caffe2's generated messages; numpy from 1.24 lacks names that Caffe2's Python uses.
PACKAGES = ["torch==1.8.1", "numpy==1.23.5", "protobuf==3.20.3", "future==1.0.0", "six==1.17.0"]
CHECK = """
from caffe2.python import core, workspace
workspace.RunOperatorOnce(core.CreateOperator("ConstantFill", [], ["x"], shape=[1]))
"""


def candidates() -> list[str]:
    """Paths and names of Pythons to try, best first."""
    pyenv = os.environ.get("PYENV_ROOT", os.path.expanduser("~/.pyenv"))
    installed = glob.glob(os.path.join(pyenv, "versions", "3.9*", "bin", "python3.9"))
    installed.sort(key=lambda p: [int(n) for n in Path(p).parts[-3].split(".") if n.isdigit()], reverse=True)
    return [p for p in [os.environ.get("PYTHON39", ""), *installed, "python3.9"] if p]


def succeeds(python: str | Path, code: str) -> bool:
    """Whether this Python runs the code to its end."""
    return subprocess.run([str(python), "-c", code], check=False, capture_output=True).returncode == 0


def find_python39() -> str:
    """The first candidate that is a Python 3.9; exits with a line of advice when there is none."""
    for candidate in candidates():
        path = shutil.which(candidate)
        if path and succeeds(path, "import sys; sys.exit(sys.version_info[:2] != (3, 9))"):
            return path
    sys.exit("no Python 3.9 found: set PYTHON39, or run `pyenv install 3.9`")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dir", type=Path, default=ROOT / ".venv-oracle", help="where to make it")
    folder = parser.parse_args().dir
    python = folder / "bin" / "python"
    if not (python.exists() and succeeds(python, CHECK)):
        subprocess.run([find_python39(), "-m", "venv", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
        if not succeeds(python, CHECK):
            sys.exit(f"{python} was made, but Caffe2 does not run there: {CHECK}")
    print(f"real Caffe2 1.8.1: {python}")


if __name__ == "__main__":
    main()
