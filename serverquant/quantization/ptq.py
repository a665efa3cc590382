"""Quantization after training, in one call: calibrate, choose, rewrite, write."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from serverquant import __version__
from serverquant._base.errors import ArgumentError, QuantizationError
from serverquant.proto import NetDef
from serverquant.proto.io import save
from serverquant.qparams import DEFAULTS, KINDS, QParams, choose_from_histogram
from serverquant.qparams.histogram import Histogram
from serverquant.quantization.calibrate import calibrate_net, fingerprint_of
from serverquant.quantization.data import BATCH
from serverquant.quantization.emit import Emitted, emit
from serverquant.quantization.net import Net, check_float
from serverquant.quantization.rewrite import simplify
from serverquant.quantization.statistics import Statistics

RECIPE_VERSION = 1
FILES = ("init_net.pb", "predict_net.pb", "recipe.json")


@dataclass(frozen=True)
class Settings:
    """method: how the ranges of activations are chosen, one of qparams.KINDS, or `percentile` with the share to keep.
    weights: the kind of the weights, per tensor and symmetric. percentile: for that method, above 0, at most 100.
    pair_safe: weights are kept small enough that Caffe2 gives the same bytes on CPUs without VNNI too."""

    method: str = "min_max"
    weights: str = "min_max"
    percentile: float = 99.99
    pair_safe: bool = False

    def check(self) -> Settings:
        """ArgumentError for what cannot be."""
        for what, value, known in (
            ("method", self.method, (*KINDS, "percentile")),
            ("weights", self.weights, KINDS),
        ):
            if value not in known:
                raise ArgumentError(f"{what} is {value!r}; it must be one of {', '.join(known)}")
        if not 0 < self.percentile <= 100:
            raise ArgumentError(f"percentile is {self.percentile}; it must be above 0 and at most 100")
        return self


@dataclass
class Result:
    """init, predict: the int8 net. recipe: what was chosen and why, plain JSON values. statistics: what it rests on."""

    init: NetDef
    predict: NetDef
    recipe: dict[str, Any]
    statistics: Statistics

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write init_net.pb, predict_net.pb and recipe.json; what was there stays until all three are complete."""
        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=".quantize-", dir=target))
        try:
            save(self.init, made / FILES[0])
            save(self.predict, made / FILES[1])
            (made / FILES[2]).write_text(json.dumps(self.recipe, indent=1) + "\n")
            for name in FILES:
                os.replace(made / name, target / name)
        finally:
            shutil.rmtree(made)


def quantize(
    init: Any,
    predict: Any,
    data: Any = None,
    *,
    statistics: Statistics | str | os.PathLike[str] | None = None,
    method: str = "min_max",
    weights: str = "min_max",
    percentile: float = 99.99,
    pair_safe: bool = False,
    batch: int = BATCH,
    progress: Callable[[], None] | None = None,
) -> Result:
    """The int8 net of a float net.

    init, predict: paths or any other source of a NetDef. data: calibration data, see `quantization.data.batches`.
    statistics: instead of data, what `calibrate` gave for this net, or the path of its file.
    method, weights, percentile, pair_safe: see `Settings`. batch: how many samples run at a time. progress: called
    after each.

    The net made runs here and in Caffe2 1.8.1 with the same bytes. What has no int8 form stays float;
    `recipe["float"]` says why. QuantizationError for a net that is quantized already, without data, or with data that
    makes a blob infinite or NaN.
    """
    settings = Settings(method, weights, percentile, pair_safe).check()
    net = Net(init, predict)
    check_float(net)
    passes = simplify(net)
    if (data is None) == (statistics is None):
        raise ArgumentError("give either calibration data or statistics")
    known = calibrate_net(net, data, batch, progress) if statistics is None else _known(statistics, net)
    emitted = emit(net, known, lambda name: choose_params(known, name, settings), settings.weights, pair_safe)
    if not emitted.int8:
        raise QuantizationError(f'nothing in net "{net.name}" can be quantized: {"; ".join(emitted.stays.values())}')
    return Result(*net.protos(emitted.init_ops), _recipe(settings, passes, known, emitted), known)


def _known(given: Statistics | str | os.PathLike[str], net: Net) -> Statistics:
    found = given if isinstance(given, Statistics) else Statistics.load(given)
    if found.fingerprint != fingerprint_of(net):
        raise QuantizationError(f'the statistics are those of another net than "{net.name}"; calibrate this one')
    return found


def choose_params(statistics: Statistics, name: str, settings: Settings) -> QParams:
    """The parameters of a blob, by the method; what is too far from 0 for it takes its whole range."""
    seen = statistics.blobs[name].histogram
    if seen.not_finite:
        raise QuantizationError(
            f'calibration made {seen.not_finite} values of "{name}" infinite or NaN; look at the data and the weights'
        )
    exact = Histogram(seen.counts, np.float32(seen.lo), np.float32(seen.hi))
    if settings.method == "min_max":
        return choose_from_histogram(exact, "min_max")
    kind, kept = settings.method, DEFAULTS
    if kind == "percentile":
        kind, kept = "p99", DEFAULTS._replace(p99_threshold=settings.percentile / 100)
    try:
        return choose_from_histogram(seen.histogram(), kind, defaults=kept)
    except QuantizationError:  # too far from 0 for a search
        return choose_from_histogram(exact, "min_max")


def _recipe(settings: Settings, passes: dict[str, int], statistics: Statistics, emitted: Emitted) -> dict[str, Any]:
    blobs = {}
    for name, params in emitted.params.items():
        seen = statistics.blobs[name].histogram
        blobs[name] = {
            "int8": emitted.int8[name],
            "operator": emitted.quantized.get(name, "Int8Quantize"),
            "scale": params.scale,
            "zero_point": params.zero_point,
            "seen": [seen.lo, seen.hi],
        }
    return {
        "format": "serverquant recipe",
        "version": RECIPE_VERSION,
        "serverquant": __version__,
        "settings": asdict(settings),
        "calibration": {"fingerprint": statistics.fingerprint, "samples": statistics.samples},
        "passes": passes,
        "blobs": blobs,
        "float": emitted.stays,
    }
