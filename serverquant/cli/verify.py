"""Prove that a net gives the same bytes on every instruction set here and with any number of threads.

serverquant verify init_net.pb predict_net.pb --feed data=cat.png --size 224x224 --threads 1 2 3 7

Runs it on all instruction sets that the CPU has, scalar C included, with whole teams of threads on the smallest
tensors too, and compares every blob that an operator writes, byte for byte, types, shapes, scales and zero points
included; also the outputs of the net that a Predictor runs by default, with shared memory. Ends with 1 where anything
differs.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import hashlib
from collections.abc import Iterator
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
    the first run. kernels: by operator, the kernel row of each instruction set."""

    runs: list[tuple[str, int]] = field(default_factory=list)
    differ: list[str] = field(default_factory=list)
    kernels: dict[int, dict[str, str]] = field(default_factory=dict)
    types: dict[int, str] = field(default_factory=dict)
    int8: int = 0
    others: int = 0


def arguments(parser: argparse.ArgumentParser) -> None:
    from serverquant.cli import feeds

    parser.add_argument("init", metavar="INIT_NET", help="init net (.pb, .pbtxt), or a MetaNetDef by itself")
    parser.add_argument("predict", metavar="PREDICT_NET", nargs="?", help="predict net (.pb, .pbtxt)")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2, 3, 7], help="teams to try (default 1 2 3 7)")
    feeds.arguments(parser)


def main(args: argparse.Namespace) -> int:
    from serverquant._base import _isa
    from serverquant._base.errors import ArgumentError
    from serverquant.cli import show

    if min(args.threads) < 1:
        raise ArgumentError(f"--threads {min(args.threads)}: a team has at least one thread")
    found = verify(args)
    unchecked = [name for name in _isa.NAMES if name not in _isa.supported()]
    if args.json:
        show.as_json(_as_json(found, unchecked))
    else:
        _print(found, unchecked)
    return 1 if found.differ else 0


def verify(args: argparse.Namespace) -> Found:
    """All runs, each compared with the first: scalar, the first number of threads."""
    from serverquant._base import _isa, _threads
    from serverquant.cli import nets
    from serverquant.predictor import load

    found, want, inputs = Found(), None, None
    with _as_it_was():
        _threads.force_teams(True)
        for isa in _isa.supported():
            _isa.set_level(isa)
            with load(args.init, args.predict, keep_blobs=True) as net, load(args.init, args.predict) as planned:
                inputs = inputs or nets.inputs(args, net)
                for threads in args.threads:
                    _threads.set_num_threads(threads)
                    got, outputs = run(net, planned, inputs)
                    if want is None:
                        want = got
                        found.int8 = sum(bool(value[2]) for value in got.values())
                        found.others = len(got) - found.int8
                    found.runs.append((isa, threads))
                    found.differ += compare(want, got, f"{isa}, threads {threads}")
                    kept = {name: want[name] for name in outputs if name in want}
                    found.differ += compare(kept, outputs, f"{isa}, threads {threads}, planned")
                for item in nets.planned(net):
                    found.kernels.setdefault(item.index, {})[isa] = row_of(item.step.kernel, isa)
                    found.types[item.index] = item.operator.type
    return found


def row_of(kernel: str, isa: str) -> str:
    """The row of the kernel tables that runs a kernel on an instruction set; its own name where it has none."""
    from serverquant._base import _isa

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
        "other_blobs": found.others,
        "differ": found.differ,
        "operators": [
            {"index": index, "type": found.types[index], "kernels": kernels}
            for index, kernels in sorted(found.kernels.items())
        ],
    }


def _print(found: Found, unchecked: list[str]) -> None:
    from serverquant.cli import show

    levels = list(dict.fromkeys(isa for isa, _ in found.runs))
    threads = list(dict.fromkeys(str(threads) for _, threads in found.runs))
    rows = [
        (index, found.types[index], *(kernels.get(isa, "") for isa in levels))
        for index, kernels in sorted(found.kernels.items())
    ]
    show.table(("op", "type", *levels), rows, right=("op",))
    print(f"\n{len(found.runs)} runs: {', '.join(levels)}; threads {', '.join(threads)}")
    for name in unchecked:
        print(f"not checked: {name}, which this CPU lacks")
    for line in found.differ[:SHOWN]:
        print(f"DIFFERS {line}")
    if len(found.differ) > SHOWN:
        print(f"... and {len(found.differ) - SHOWN} more")
    what = f"{found.int8} int8 and {found.others} other blobs"
    print(f"{what}: {'the same bytes in every run' if not found.differ else 'NOT the same in every run'}")
