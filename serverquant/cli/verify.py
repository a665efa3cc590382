"""Prove that a net gives the same bytes on every instruction set here and with any number of threads.

serverquant verify init_net.pb predict_net.pb --feed data=cat.png --size 224x224 --threads 1 2 3 7

Runs it on all instruction sets that the CPU has, scalar C included, with whole teams of threads on the smallest
tensors too, and compares every blob that an operator writes, byte for byte, types, shapes, scales and zero points
included; also the outputs of the net that a Predictor runs by default, with shared memory. Ends with 1 where anything
differs. --emulated checks instruction sets that the CPU lacks, too: it builds the kernels from the installed sources
with every intrinsic as a portable function, which takes minutes the first time, and is kept for later.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from serverquant.predictor import Predictor

SHOWN = 10  # differences that text output shows
Value = tuple[str, tuple[int, ...], str, str]  # data type, shape, scale and zero point, digest


@dataclass
class Found:
    """What the runs gave. runs: (instruction set, threads). differ: a line for each blob of a run that is not that of
    the first run. kernels: by operator, the kernel of each instruction set. first: the first run's blobs."""

    runs: list[tuple[str, int]] = field(default_factory=list)
    differ: list[str] = field(default_factory=list)
    kernels: dict[int, dict[str, str]] = field(default_factory=dict)
    types: dict[int, str] = field(default_factory=dict)
    first: dict[str, Value] = field(default_factory=dict)

    @property
    def int8(self) -> int:
        """Blobs of Int8 tensors."""
        return sum(bool(value[2]) for value in self.first.values())

    def add(self, other: Found) -> None:
        """The runs of another instruction set; its first run must be this one's."""
        self.differ += compare(self.first, other.first, other.runs[0][0]) + other.differ
        self.runs += other.runs
        for index, kernels in other.kernels.items():
            self.kernels[index].update(kernels)


def arguments(parser: argparse.ArgumentParser) -> None:
    from serverquant.cli import feeds

    parser.add_argument("init", metavar="INIT_NET", help="init net (.pb, .pbtxt), or a MetaNetDef by itself")
    parser.add_argument("predict", metavar="PREDICT_NET", nargs="?", help="predict net (.pb, .pbtxt)")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2, 3, 7], help="teams to try (default 1 2 3 7)")
    parser.add_argument(
        "--isa",
        nargs="+",
        default=[],
        choices=["scalar", "avx2", "avx512vnni"],
        help="instruction sets to try, and to emulate (default: all of this CPU, and those that it lacks)",
    )
    parser.add_argument(
        "--emulated", action="store_true", help="emulate those that the CPU lacks, or all where it lacks none"
    )
    feeds.arguments(parser)


def main(args: argparse.Namespace) -> int:
    from serverquant._base import _isa
    from serverquant._base.errors import ArgumentError
    from serverquant.cli import show

    if min(args.threads) < 1:
        raise ArgumentError(f"--threads {min(args.threads)}: a team has at least one thread")
    native = [name for name in _isa.supported() if name in (args.isa or _isa.NAMES)]
    if not native and not args.emulated:
        raise ArgumentError(f"--isa {' '.join(args.isa)}: this CPU has {', '.join(_isa.supported())}; add --emulated")
    native = native or ["scalar"]  # what emulated ones are compared with
    found, checked = verify(args, native), set(native)
    if args.emulated:
        from serverquant.cli import emulated

        isas = emulated.choose(args.isa, _isa.supported())
        if isas:
            found.add(emulated.verify(args, isas))
            checked.update(isas)
    unchecked = [name for name in _isa.NAMES if name not in checked]
    if args.json:
        show.as_json(_as_json(found, unchecked))
    else:
        _print(found, unchecked)
    return 1 if found.differ else 0


def verify(args: argparse.Namespace, isas: Sequence[str]) -> Found:
    """All runs on these instruction sets, each compared with the first."""
    from serverquant._base import _isa, _threads
    from serverquant.cli import nets
    from serverquant.predictor import load

    found, want, inputs = Found(), None, None
    with _as_it_was():
        _threads.force_teams(True)
        for isa in isas:
            _isa.set_level(isa)
            with load(args.init, args.predict, keep_blobs=True) as net, load(args.init, args.predict) as planned:
                inputs = inputs or nets.inputs(args, net)
                for threads in args.threads:
                    _threads.set_num_threads(threads)
                    got, outputs = run(net, planned, inputs)
                    want = found.first = want or got
                    found.runs.append((isa, threads))
                    found.differ += compare(want, got, f"{isa}, threads {threads}")
                    kept = {name: want[name] for name in outputs if name in want}
                    found.differ += compare(kept, outputs, f"{isa}, threads {threads}, planned")
                for item in nets.planned(net):
                    found.kernels.setdefault(item.index, {})[isa] = item.step.kernel
                    found.types[item.index] = item.operator.type
    return found


def row_of(kernel: str, name: str) -> str:
    """The row of the kernel tables that runs a kernel on an instruction set; its own name where it has none."""
    from serverquant._base import _isa

    isa = name.split()[0]
    for level in reversed(_isa.NAMES[: _isa.NAMES.index(isa) + 1]):
        if (row := f"sq_{kernel}_{level}") in _row_names():
            return row
    return kernel


@functools.cache
def _row_names() -> frozenset[str]:
    from serverquant.kernels import table

    return frozenset(row.name for row in table.rows())


@contextlib.contextmanager
def _as_it_was() -> Iterator[None]:
    """Puts instruction set and threads back at the end."""
    from serverquant._base import _isa, _threads

    level, threads = _isa.current(), _threads.get_num_threads()
    try:
        yield
    finally:
        _isa.set_level(level)
        _threads.set_num_threads(threads)
        _threads.force_teams(False)


def run(net: Predictor, planned: Predictor, inputs: dict[str, Any]) -> tuple[dict[str, Value], dict[str, Value]]:
    """All blobs that the net's operators write, and the outputs of the planned net."""
    from serverquant._base.errors import ServerquantError

    net(inputs)
    blobs = {}
    for name in dict.fromkeys(name for op in net.proto.op for name in op.output):
        with contextlib.suppress(ServerquantError):  # blobs that hold no tensor, or that an operator left empty
            blobs[name] = net.fetch(name)
    return _values(blobs), _values(planned(inputs))


def _values(blobs: dict[str, Any]) -> dict[str, Value]:
    return {n: _value(blob) for n, blob in blobs.items() if isinstance(blob, np.ndarray) or hasattr(blob, "zero_point")}


def _value(blob: Any) -> Value:
    parameters = ""
    if hasattr(blob, "zero_point"):
        parameters = f"scale {float(blob.scale).hex()}, zero point {blob.zero_point}"
        blob = blob.data
    data = repr(blob.tolist()).encode() if blob.dtype == object else blob.tobytes()
    return str(blob.dtype), blob.shape, parameters, hashlib.sha256(data).hexdigest()


def compare(want: dict[str, Value], got: dict[str, Value], where: str) -> list[str]:
    """A line for each blob that is missing or not the same."""
    lines = []
    for name in want.keys() | got.keys():
        if name not in want or name not in got:
            lines.append(f"{where}: {name} is written in one run only")
        elif want[name] != got[name]:
            what = [w for w, a, b in zip(("type", "shape", "parameters", "bytes"), want[name], got[name]) if a != b]
            lines.append(f"{where}: {name}: other {', '.join(what)}")
    return sorted(lines)


def _as_json(found: Found, unchecked: list[str]) -> dict[str, Any]:
    return {
        "exact": not found.differ,
        "runs": [{"isa": isa, "threads": threads} for isa, threads in found.runs],
        "not_checked": unchecked,
        "int8_blobs": found.int8,
        "other_blobs": len(found.first) - found.int8,
        "differ": found.differ,
        "operators": [
            {"index": index, "type": found.types[index], "kernels": {k: row_of(v, k) for k, v in kernels.items()}}
            for index, kernels in sorted(found.kernels.items())
        ],
    }


def _print(found: Found, unchecked: list[str]) -> None:
    from serverquant._base import _isa
    from serverquant.cli import show

    levels = list(dict.fromkeys(isa for isa, _ in found.runs))
    threads = list(dict.fromkeys(str(threads) for _, threads in found.runs))
    rows = [
        (index, found.types[index], *(row_of(kernels.get(isa, ""), isa) for isa in levels))
        for index, kernels in sorted(found.kernels.items())
    ]
    show.table(("op", "type", *levels), rows, right=("op",))
    print(f"\n{len(found.runs)} runs: {', '.join(levels)}; threads {', '.join(threads)}")
    for name in unchecked:
        here = name in _isa.supported()
        print(f"not checked: {name}{'' if here else ', which this CPU lacks (--emulated checks it)'}")
    for line in found.differ[:SHOWN]:
        print(f"DIFFERS {line}")
    if len(found.differ) > SHOWN:
        print(f"... and {len(found.differ) - SHOWN} more")
    what = f"{found.int8} int8 and {len(found.first) - found.int8} other blobs"
    print(f"{what}: {'the same bytes in every run' if not found.differ else 'NOT the same in every run'}")
