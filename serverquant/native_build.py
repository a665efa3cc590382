"""Builds the native modules: finds every one and gives all of them one set of rules. Run by setup.py, and by
`serverquant verify --emulated` on a copy of the installed sources.

A module is a `_<name>.pyx` anywhere below `serverquant/`; `<name>.c` beside it, if there, is linked into it. No flag
here names an instruction set: the C headers switch targets themselves, and the choice is made at run time.

Environment
    SERVERQUANT_DEBUG=1     bounds checks, asserts, -O1
    SERVERQUANT_OPENMP=0    build without OpenMP: everything runs on the caller's thread
    SERVERQUANT_EMULATE=1   all x86 rows through simde's headers (tests only; needs simde-py): see docs/add_kernel.md
    SERVERQUANT_MODULES     names of native modules, with commas between: build no others
"""

from __future__ import annotations

import os
import runpy
import sys
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

HERE = Path(__file__).resolve().parent.parent
DEBUG = os.environ.get("SERVERQUANT_DEBUG") == "1"
OPENMP = os.environ.get("SERVERQUANT_OPENMP", "1") != "0" and sys.platform == "linux"
EMULATE = os.environ.get("SERVERQUANT_EMULATE") == "1"
MODULES = set(filter(None, os.environ.get("SERVERQUANT_MODULES", "").split(",")))

DIRECTIVES = {
    "language_level": 3,
    "binding": False,
    "embedsignature": True,
    "boundscheck": DEBUG,
    "wraparound": DEBUG,
    "initializedcheck": DEBUG,
    "nonecheck": False,
    "cdivision": not DEBUG,
}

# Bits are the product: a contracted multiply-add rounds once where the formula says twice.
# Loops begin with a line of the instruction cache: int8 nets take 0.5 to 2 % less time.
CFLAGS = [
    "-std=gnu11",
    "-falign-loops=64",
    "-ffp-contract=off",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-fvisibility=hidden",
    "-Wno-unused-function",
]
CFLAGS += ["-O1", "-g", "-UNDEBUG"] if DEBUG else ["-O1" if EMULATE else "-O3", "-g0", "-DNDEBUG"]
LDFLAGS = [] if DEBUG else ["-Wl,-s", "-Wl,-O1"]
if OPENMP:
    CFLAGS.append("-fopenmp")
    LDFLAGS.append("-fopenmp")


def emulation_flags() -> tuple[list[str], list[str]]:
    """Include folders and flags of the emulated build. Without -mfma simde's fmadd would round twice."""
    if not EMULATE:
        return [], []
    import simde_py

    return [simde_py.get_include()], ["-DSQ_EMULATE=1", "-mavx2", "-mfma", "-Wno-psabi"]


def extensions() -> list[Extension]:
    include, flags = emulation_flags()
    found = []
    for pyx in sorted((HERE / "serverquant").rglob("_*.pyx")):
        source = pyx.relative_to(HERE)
        name = ".".join(source.with_suffix("").parts)
        if MODULES and name not in MODULES:
            continue
        c_source = source.with_name(source.stem[1:] + ".c")
        headers = [str(h.relative_to(HERE)) for h in (*pyx.parent.glob("*.h"), *pyx.parent.glob("*.inc"))]
        contracts = (h for h in (HERE / "serverquant/kernels").glob("*/*.h") if h.stem == h.parent.name)
        headers += [str(h.relative_to(HERE)) for h in contracts]  # structs that other modules cimport
        headers += [str(h.relative_to(HERE)) for h in (HERE / "serverquant/include").rglob("*.h")]
        found.append(
            Extension(
                name,
                [str(source)] + ([str(c_source)] if (HERE / c_source).exists() else []),
                depends=headers,
                include_dirs=["serverquant/include", *include],
                extra_compile_args=CFLAGS + flags,
                extra_link_args=LDFLAGS,
                libraries=["m"],
            )
        )
    return found


def cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cython_modules() -> list[Extension]:
    shared = Extension(
        "serverquant._cyutility", ["serverquant/_cyutility.c"], extra_compile_args=CFLAGS, extra_link_args=LDFLAGS
    )
    return cythonize(
        [*extensions(), shared],
        compiler_directives=DIRECTIVES,
        nthreads=cores(),
        shared_utility_qualified_name="serverquant._cyutility",
        compile_time_env=None,
        show_all_warnings=False,
    )


class ParallelBuild(build_ext):
    """Compiles as many modules at once as there are cores."""

    def finalize_options(self) -> None:
        super().finalize_options()
        self.parallel: int | None = self.parallel or cores()


def write_operator_index() -> None:
    """Operators load on first use: which module has which is read from the sources, without importing them."""
    runpy.run_path(str(HERE / "serverquant/ops/make_index.py"))["write"]()
    page = HERE / "docs/caffe2_operators.py"
    if page.exists():  # not in a source distribution
        runpy.run_path(str(page))["write"]()


if __name__ == "__main__":
    write_operator_index()
    setup(ext_modules=cython_modules(), cmdclass={"build_ext": ParallelBuild})
