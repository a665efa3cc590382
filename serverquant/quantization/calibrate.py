"""Runs a float net on data and keeps the statistics of its blobs, in memory that does not grow with the data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from serverquant._base.errors import ArgumentError, QuantizationError, ServerquantError
from serverquant.predictor import Predictor
from serverquant.quantization.corrections.equalization import DATA_FREE, equalize
from serverquant.quantization.data import BATCH, batches
from serverquant.quantization.net import Net, check_float
from serverquant.quantization.rewrite import simplify
from serverquant.quantization.statistics import Statistics, fingerprint


def calibrate(
    init: Any,
    predict: Any,
    data: Any,
    *,
    equalization: str = "cross_layer",
    batch: int = BATCH,
    progress: Callable[[], None] | None = None,
) -> Statistics:
    """Statistics of the inputs and of every float blob that an operator writes.

    init, predict: any source of a NetDef. data: see `data.batches`. progress: called after every batch.
    The net is rewritten before (`rewrite.simplify`) and its channels evened out, as `quantize` does, so that these are
    the values that int8 operators will stand for; `quantize(..., statistics=...)` takes what comes out. equalization:
    one of corrections.equalization.DATA_FREE. QuantizationError when there is no data, or the net is quantized already.
    """
    if equalization not in DATA_FREE:
        raise ArgumentError(f"equalization is {equalization!r}; here it must be one of {', '.join(DATA_FREE)}")
    net = Net(init, predict)
    check_float(net)
    simplify(net)
    equalize(net, equalization)
    return calibrate_net(net, data, batch, progress)


def calibrate_net(net: Net, data: Any, batch: int = BATCH, progress: Callable[[], None] | None = None) -> Statistics:
    """The same of a net whose values have names of their own."""
    made = net.protos()
    found = Statistics(fingerprint_of(net))
    blobs = list(dict.fromkeys([*net.inputs, *(name for op in net.ops for name in op.output)]))
    with Predictor(*made, keep_blobs=True) as run:
        for feeds in batches(data, run.inputs, batch):
            run(feeds)
            found.samples += _samples(feeds)
            _observe(found, run, blobs)
            if progress is not None:
                progress()
    if not found.samples:
        raise QuantizationError("there is no calibration data: not one sample was given")
    return found


def fingerprint_of(net: Net) -> str:
    """What statistics of this net carry."""
    return fingerprint(b"".join(part.SerializeToString(deterministic=True) for part in net.protos()))


def _samples(feeds: dict[str, Any]) -> int:
    return max((len(v) if isinstance(v, np.ndarray) and v.ndim else 1 for v in feeds.values()), default=1)


def _observe(found: Statistics, run: Predictor, blobs: Sequence[str]) -> None:
    for name in blobs:
        try:
            value = run.fetch(name)
        except ServerquantError:  # what an operator left empty, or no tensor
            continue
        if isinstance(value, np.ndarray) and value.dtype == np.float32:
            found.add(name, value)
