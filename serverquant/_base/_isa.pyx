"""The instruction set that kernels are chosen for.

`detected()` is what the CPU and operating system can run; `SERVERQUANT_ISA=scalar|avx2|avx512vnni` lowers it for the
process (a level that the machine lacks is an error at import), `set_level()` from then on. A CPU with AVX-512 but
without VNNI counts as avx2.
"""
import os

from serverquant._base.errors import MachineError

cdef extern from "isa.h":
    int sq_isa_detect() nogil
    int SQ_ISA_EMULATED
    bint SQ_X86

NAMES = ("scalar", "avx2", "avx512vnni")
EMULATED = bool(SQ_ISA_EMULATED)    # intrinsics are portable functions: every level runs here, slowly

cdef int _detected = sq_isa_detect()
cdef int _level = _detected


cdef int level() noexcept nogil:
    return _level


def detected() -> str:
    """The highest instruction set that this machine runs: one of `NAMES`."""
    return NAMES[_detected]


def current() -> str:
    """The instruction set in use: `detected()` unless lowered."""
    return NAMES[_level]


def supported() -> tuple:
    """The names that `set_level` takes on this machine, lowest first."""
    return NAMES[:_detected + 1]


def set_level(name: str) -> str:
    """Use kernels up to instruction set `name` for plans made from now on. Returns the name used before."""
    global _level
    if name not in NAMES:
        raise MachineError(f"unknown instruction set {name!r}; choose one of {', '.join(NAMES)}")
    wanted = NAMES.index(name)
    if wanted > _detected:
        raise MachineError(f"this machine has no {name}; the highest it runs is {detected()}")
    before = NAMES[_level]
    _level = wanted
    return before


if os.environ.get("SERVERQUANT_ISA"):
    set_level(os.environ["SERVERQUANT_ISA"].lower())
