"""Runs a float net on data and keeps the statistics of its blobs, in memory that does not grow with the data.

Every blob is counted right after its operator wrote it, where it lies, while it is in the cache; its memory is used
again then. What an activation makes of a layer's output is counted with that, in one pass.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from serverquant._base.errors import ArgumentError, QuantizationError
from serverquant.blobs._blob import Blob
from serverquant.blobs.spec import TENSOR
from serverquant.predictor import Predictor
from serverquant.quantization.corrections.equalization import DATA_FREE, equalize
from serverquant.quantization.data import BATCH, Data, samples
from serverquant.quantization.doubts import doubts
from serverquant.quantization.net import FUSING, Net, check_float
from serverquant.quantization.rewrite import simplify
from serverquant.quantization.statistics import Statistics, digest, fingerprint
from serverquant.runtime.observe import observe
from serverquant.runtime.operator import Operator

# A batch is made no larger than what keeps the largest blob of a net in the last cache between its writing and its
# counting. Up to there larger ones pay: the way to the counting of a blob costs as much as counting 10,000 values.
CACHED_BYTES = 16 << 20
AVERAGE = 0.01  # weight of a batch in moving averages where none is given

Progress = Callable[[int, "int | None"], None]


class CalibrationWarning(UserWarning):
    """Calibration data that can be used, but hardly as they were meant."""


def calibrate(
    init: Any,
    predict: Any,
    data: Any,
    *,
    equalization: str = "cross_layer",
    batch: int | None = None,
    average: float | None = None,
    output: str | os.PathLike[str] | None = None,
    save_every: int = 0,
    resume: bool = False,
    progress: Progress | None = None,
) -> Statistics:
    """Statistics of the inputs and of every float blob that an operator writes; the range alone of what lies between a
    Conv, FC, Sum or Add and a Relu, ReluN or Clip from 0 that alone reads it, since no int8 net has that.

    init, predict: any source of a NetDef. data: see `data.Data`; batch: samples that run at a time, chosen by the sizes
    of the blobs by default; they change no byte.
    average: the weight that each batch's range has in moving averages, for the method moving_average; these depend on
    the order of the data and on `batch` (16 by default then), and statistics that have them cannot be merged.
    output: a file to write at the end. Until then what is there so far is in `output`.part: written after every
    `save_every` batches (0: never), when the process is interrupted, and when the data fail. resume: go on from that
    file, if it is there; the bytes that come out are those of a run in one go. progress(samples so far, samples or
    None): called after every batch.

    The net is rewritten before (`rewrite.simplify`) and its channels evened out, as `quantize` does, so that these are
    the values that int8 operators will stand for; `quantize(..., statistics=...)` takes what comes out. equalization:
    one of corrections.equalization.DATA_FREE. QuantizationError when there is no data, when it is infinite or NaN, when
    the net is quantized already, or when what shall be gone on with belongs to another net, data, settings or version
    of the numerics. Doubtful data give a CalibrationWarning.
    """
    if output is None and (save_every or resume):
        raise ArgumentError("saving on the way and resuming need an output file")
    if save_every < 0:
        raise ArgumentError(f"save_every is {save_every}; it must be 0 or more batches")
    if equalization not in DATA_FREE:
        raise ArgumentError(f"equalization is {equalization!r}; here it must be one of {', '.join(DATA_FREE)}")
    net = Net(init, predict)
    check_float(net)
    simplify(net)
    equalize(net, equalization)
    file = None if output is None else PartFile(output, save_every, resume)
    found = calibrate_net(net, data, batch, progress, average, file)
    warn_of_doubts(net, found, 2)
    return found


class PartFile:
    """Where a calibration keeps what it has so far: `output`.part, and `output` at the end."""

    def __init__(self, output: str | os.PathLike[str], every: int, resume: bool):
        self.output, self.part = Path(output), Path(f"{os.fspath(output)}.part")
        self.every, self._resume = every, resume
        if not self.output.parent.is_dir():  # found out before hours of work, not after
            raise ArgumentError(f"{self.output.parent} is no folder to write {self.output.name} to")

    def begin(self, empty: Statistics) -> Statistics:
        """What to go on with: an earlier run's statistics, if there are some and they fit, else the empty ones."""
        if not self._resume or not self.part.exists():
            return empty
        found = Statistics.load(self.part)
        for what, theirs, ours in (
            ("net, or another version of the numerics", found.fingerprint, empty.fingerprint),
            ("data or settings", found.unfinished, empty.unfinished),
        ):
            if theirs != ours:
                raise QuantizationError(
                    f"{self.part} belongs to a calibration of other {what}: calibrate without resuming, or give what "
                    "it was begun with"
                )
        return found

    def save(self, found: Statistics) -> None:
        found.save(self.part)

    def finish(self, found: Statistics) -> None:
        found.save(self.output)
        self.part.unlink(missing_ok=True)


def calibrate_net(
    net: Net,
    data: Any,
    batch: int | None = None,
    progress: Progress | None = None,
    average: float | None = None,
    file: PartFile | None = None,
) -> Statistics:
    """The same of a net whose values have names of their own."""
    if average is not None and not 0 < average <= 1:
        raise ArgumentError(f"average is {average}; the weight of a batch must be above 0 and at most 1")
    if batch is not None and batch < 1:
        raise ArgumentError(f"batch is {batch}; it must be 1 or more")
    with ThreadPoolExecutor(1) as aside, _predictor(net) as run:
        fingerprinted = aside.submit(fingerprint_of, net)  # of weights of 100 MB as long as two images take
        samples_given = Data(data, run.inputs)
        if batch is None:
            batch = BATCH if average is not None else _batch_for_cache(run, samples_given)
        found = Statistics()
        found.average = average
        found.unfinished = digest(samples_given.description.encode(), repr((average, average and batch)).encode())
        if file is not None:
            found.fingerprint = fingerprinted.result()
            found = file.begin(found)
        _run(run, samples_given, batch, _Counter(found, _fused(net)), file, progress)
    if not found.samples:
        raise QuantizationError("there is no calibration data: not one sample was given")
    found.unfinished, found.fingerprint = "", fingerprinted.result()
    if file is not None:
        file.finish(found)
    return found


def warn_of_doubts(net: Net, found: Statistics, stacklevel: int) -> None:
    """A CalibrationWarning for each doubt. stacklevel: that of warnings.warn in the caller."""
    for doubt in doubts(net, found):
        warnings.warn(doubt, CalibrationWarning, stacklevel=stacklevel + 1)


def _fused(net: Net) -> dict[str, tuple[str, float]]:
    """What lies between a layer and the Relu, ReluN or Clip from 0 that alone reads it, with the blob behind that
    and its upper end: int8 layers write what is behind."""
    readers = net.readers()
    found = {op.output[0]: net.activation(op.output[0], readers) for op in net.ops if op.type in FUSING}
    return {name: (act[0].output[0], act[1]) for name, act in found.items() if act}


def _predictor(net: Net) -> Predictor:
    weights = net.weights
    made: Any = weights
    if weights is None:
        made, predict = net.protos()
    else:
        predict = net.predict(weights)
    predict.type = ""  # one operator after the other, also where the net asks for several threads
    return Predictor(made, predict, watched={name for op in net.ops for name in op.output})


def fingerprint_of(net: Net) -> str:
    """What statistics of this net carry."""
    weights = net.weights
    if weights is None:
        return fingerprint(*(part.SerializeToString(deterministic=True) for part in net.protos()))
    parts: list[Any] = [net.predict(()).SerializeToString(deterministic=True)]
    for name, value in sorted(weights.items()):
        parts += [f"{name} {value.dtype} {value.shape}".encode(), _bytes_of(value)]
    return fingerprint(*parts)


def _bytes_of(value: np.ndarray) -> Any:
    """Of its values, not copied where they lie in one piece."""
    if value.dtype == object:
        return repr(value.tolist()).encode()
    return np.ascontiguousarray(value).reshape(-1).view("u1")


def _run(
    run: Predictor, data: Data, batch: int, counter: _Counter, file: PartFile | None, progress: Progress | None
) -> None:
    found = counter.found
    saved = found.samples
    with observe(run, counter), _Interrupts() as interrupts:
        feeds = data.batches(batch, skip=found.samples)
        for number in itertools.count(1):
            try:
                with interrupts.let_through():
                    some = next(feeds, None)
            except BaseException:
                if file is not None and found.samples > saved:
                    file.save(found)
                raise
            if some is None:
                return
            counter.count_inputs(some)
            run(some)
            found.samples += samples(some)
            if progress is not None:
                progress(found.samples, data.total)
            if file is not None and file.every and number % file.every == 0:
                file.save(found)
                saved = found.samples


class _Counter:
    """Counts what operators wrote, where it lies (see observe.Watcher). fused: see `_fused`; of these blobs ranges will
    do, and those behind them are counted on the way."""

    def __init__(self, found: Statistics, fused: dict[str, tuple[str, float]]):
        self.found, self._fused = found, fused
        self._ahead: set[str] = set()  # what is counted already when its operator writes it

    def wrote(self, operator: Operator, blobs: list[Blob]) -> None:
        for name, blob in zip(operator.outputs, blobs):
            if blob.kind == TENSOR:
                self._count(name, blob.view())

    def ran(self, net: Any, begin: int, end: int, parts: list[Any]) -> None:
        pass

    def count_inputs(self, feeds: dict[str, Any]) -> None:
        """QuantizationError for data that no range can be chosen for."""
        for name, value in feeds.items():
            self._count(name, value)
            seen = self.found.blobs.get(name)
            if seen is not None and seen.histogram.not_finite:
                at = self.found.samples
                raise QuantizationError(
                    f'calibration data: samples {at} to {at + samples(feeds) - 1} hold {seen.histogram.not_finite} '
                    f'values of "{name}" infinite or NaN'
                )

    def _count(self, name: str, value: Any) -> None:
        if not isinstance(value, np.ndarray) or value.dtype != np.float32:
            return
        if name in self._ahead:
            self._ahead.remove(name)
        elif name not in self._fused:
            self.found.add(name, value)
        else:
            behind, top = self._fused[name]
            if self.found.add_clamped(name, value, top, behind):
                self._ahead.add(behind)


def _batch_for_cache(run: Predictor, data: Data) -> int:
    """As many samples as keep the largest blob in the cache, 1 to BATCH."""
    sample = data.sample
    if sample is None:
        return BATCH
    found = run.infer(sample, faults=[])
    sizes = [spec.nbytes for op in found for spec in op.outs or () if spec.kind == TENSOR]
    return max(1, min(BATCH, CACHED_BYTES // max(1, *sizes, 1)))


class _Interrupts:
    """Ctrl-C waits until a batch is counted whole, when it is let through; a second one comes through at once."""

    def __init__(self) -> None:
        self._before = signal.getsignal(signal.SIGINT)
        self._ours = threading.current_thread() is threading.main_thread() and callable(self._before)
        self._open, self._waiting = False, 0

    def __enter__(self) -> _Interrupts:
        if self._ours:
            signal.signal(signal.SIGINT, self._come)
        return self

    def __exit__(self, *exc: object) -> None:
        if self._ours:
            signal.signal(signal.SIGINT, self._before)

    def _come(self, number: int, frame: Any) -> None:
        self._waiting += 1
        if self._open or self._waiting > 1:
            self._pass_on(number, frame)

    def _pass_on(self, number: int, frame: Any) -> None:
        self._waiting = 0
        assert callable(self._before)
        self._before(number, frame)

    @contextlib.contextmanager
    def let_through(self) -> Iterator[None]:
        """Inside, what has waited and what comes."""
        self._open = True
        try:
            if self._waiting:
                self._pass_on(signal.SIGINT, None)
            yield
        finally:
            self._open = False
