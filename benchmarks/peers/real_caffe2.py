"""The real Caffe2, in a process of its own: the other end of `caffe2_worker.py`."""

from __future__ import annotations

import os
import pickle
import struct
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, cast

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venv-oracle" / "bin" / "python"
WORKER = Path(__file__).with_name("caffe2_worker.py")
# Without this a team whose core is taken for a moment spins for half a second; on a quiet machine it costs nothing.
SPINS = "1000"
HOW_TO_GET = "python3 benchmarks/peers/setup_oracle.py"


class Caffe2:
    """A Caffe2 workspace with so many threads, and one net in it at a time. Use as a context manager.

    flags: for its GlobalInit, "--name=value" each; they hold for the process.

    A feed is an array, or (uint8 or int32 array, scale, zero_point) for an Int8 tensor; fetched values are alike.
    A net is given by its path or its serialized bytes. RuntimeError with Caffe2's message where it fails.
    """

    name = "Caffe2"

    def __init__(self, threads: int, flags: Sequence[str] = ()):
        if not PYTHON.exists():
            raise FileNotFoundError(f"no real Caffe2 here; `{HOW_TO_GET}` makes it")
        count = str(threads)
        environment = os.environ | {"OMP_NUM_THREADS": count, "MKL_NUM_THREADS": count, "GOMP_SPINCOUNT": SPINS}
        command = [str(PYTHON), "-W", "ignore", str(WORKER), count, *flags]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, env=environment)

    def __enter__(self) -> Caffe2:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the process."""
        cast(IO[bytes], self.process.stdin).close()
        self.process.wait(30)
        cast(IO[bytes], self.process.stdout).close()

    def init(self, net: Path | bytes) -> tuple[int, int]:
        """Runs an init net once. Nanoseconds of reading and parsing, and of Caffe2's RunNetOnce alone."""
        return cast(tuple[int, int], self._call("init", _plain(net)))

    def create(self, net: Path | bytes, kind: str = "") -> None:
        """Creates the net that `run` runs, once its inputs have been fed; kind replaces its type ("simple", ...)."""
        self._call("create", _plain(net), kind)

    def feed(self, values: dict[str, Any]) -> None:
        self._call("feed", _pack_all(values))

    def run(self, times: int, feeds: list[dict[str, Any]] | None = None) -> list[int]:
        """Nanoseconds of each run; the feeds are used in turn, one before each run, outside the clock."""
        return cast(list[int], self._call("run", times, [_pack_all(values) for values in feeds or []]))

    def run_many(self, times: int) -> int:
        """Nanoseconds of so many runs in one call of Caffe2, without Python between them."""
        return cast(int, self._call("run_many", times))

    def fetch(self, names: list[str]) -> dict[str, Any]:
        return {name: _unpack(value) for name, value in cast(dict[str, Any], self._call("fetch", names)).items()}

    def reset(self) -> None:
        """Empties the workspace."""
        self._call("reset")

    def peak_bytes(self) -> int:
        """The largest resident size that the process has had."""
        return cast(int, self._call("peak_bytes"))

    def _call(self, command: str, *arguments: object) -> object:
        data = pickle.dumps((command, arguments), 4)
        pipe = cast(IO[bytes], self.process.stdin)
        pipe.write(struct.pack("<q", len(data)) + data)
        pipe.flush()
        head = cast(IO[bytes], self.process.stdout).read(8)
        if len(head) < 8:
            raise RuntimeError(f"the Caffe2 process ended in {command!r} with status {self.process.wait()}")
        done, result = pickle.loads(cast(IO[bytes], self.process.stdout).read(struct.unpack("<q", head)[0]))
        if not done:
            raise RuntimeError(result)
        return result


def available() -> bool:
    return PYTHON.exists()


def versions() -> list[str]:
    """The version as a text, in a list that is empty where there is none."""
    found = sorted(PYTHON.parents[1].glob("lib/*/site-packages/torch-*.dist-info"))
    return [f"Caffe2 of torch {found[0].name.split('-')[1].removesuffix('.dist')}"] if found else []


def _plain(net: Path | bytes) -> str | bytes:
    return net if isinstance(net, bytes) else str(net)


def _pack_all(values: dict[str, Any]) -> dict[str, Any]:
    return {name: _pack(value) for name, value in values.items()}


def _pack(value: Any) -> tuple[Any, ...]:
    array, *parameters = value if isinstance(value, tuple) else (value,)
    array = np.asarray(array, order="C")  # ascontiguousarray gives a scalar a dimension
    scale_and_zero_point = [float(parameters[0]), int(parameters[1])] if parameters else []
    return (array.dtype.str, array.shape, array.tobytes(), *scale_and_zero_point)


def _unpack(value: tuple[Any, ...]) -> Any:
    array = np.frombuffer(value[2], value[0]).reshape(value[1])
    return array if len(value) == 3 else (array, np.float32(value[3]), value[4])
