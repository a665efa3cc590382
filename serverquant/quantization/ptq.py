"""Quantization after training, in one call: calibrate, choose, rewrite, write."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from serverquant import __version__
from serverquant._base.errors import ArgumentError, QuantizationError
from serverquant.proto import NetDef
from serverquant.proto.io import save
from serverquant.qparams import DEFAULTS, KINDS, QParams, choose, choose_from_histogram
from serverquant.qparams.histogram import Histogram
from serverquant.quantization.calibrate import (
    AVERAGE,
    Progress,
    calibrate_net,
    fingerprint_of,
    warn_of_doubts,
)
from serverquant.quantization.corrections import bias as bias_correction
from serverquant.quantization.corrections import equalization
from serverquant.quantization.corrections.equalization import DATA_FREE, equalize, needs_statistics
from serverquant.quantization.data import BATCH, repeatable
from serverquant.quantization.emit import Emitted, emit
from serverquant.quantization.emit.forms import named
from serverquant.quantization.estimate import GainWarning, estimate
from serverquant.quantization.net import Net, check_float
from serverquant.quantization.rewrite import simplify
from serverquant.quantization.rules import (
    BITS,
    GRANULARITIES,
    TARGETS,
    Overrides,
    Rule,
    check_overrides,
    is_one_of,
    rules_of,
)
from serverquant.quantization.statistics import Statistics

if TYPE_CHECKING:
    from serverquant.quantization.report.made import Report

RECIPE, RECIPE_VERSION = "serverquant recipe", 2
EMBEDDINGS = ("fused8", "fused4", "float")
METHODS = (*KINDS, "percentile", "moving_average")
WEIGHT_KINDS = (*KINDS, "search")
ACTIVATIONS = ("asymmetric", "symmetric")
FILES = ("init_net.pb", "predict_net.pb", "recipe.json")
REPORT_SAMPLES = 128


@dataclass(frozen=True)
class Settings:
    """method: how the ranges of activations are chosen, one of qparams.KINDS, or `percentile` with the share to keep,
    or `moving_average` of the batches' ranges (see `calibrate`; the one that depends on the order of the data).
    weights: how the symmetric scale of a weight is chosen, one of qparams.KINDS, or `search` (corrections.clipping).
    percentile: for that method, above 0, at most 100.
    pair_safe: weights are kept small enough that Caffe2 gives the same bytes on CPUs without VNNI too.
    equalization: of channels between layers, one of corrections.equalization.KINDS. bias: how biases are corrected, one
    of corrections.bias.KINDS. embeddings: what constant tables of embeddings become, one of EMBEDDINGS; rows of an odd
    number of values have 8 bits at least.
    target: `caffe2`, a net that Caffe2 1.8.1 runs with the same bytes, or `serverquant`, which may use what it has
    beyond. granularity: whether the weight of a Conv or FC has one scale, or one for each output `channel` or each
    `group` of a convolution; `channel` for target `serverquant` alone.
    weight_bits, activation_bits: 2 to 16, of weights of layers and of activations. Up to 8 they are stored in bytes;
    above that operators of engine DNNLOWP_16 run them, and what has no such form stays float. activations: one of
    ACTIVATIONS; symmetric ones have the middle zero point, 128 of 8 bits, where both signs occur. symmetric_weights: so
    have weights; else their levels reach from the smallest to the largest, but in what must be pair_safe.
    power_of_two: scales are rounded up to powers of two, but for those that a limit or a table fixes.
    overrides: {blob or pattern: {"granularity", "weights", "weight_bits", "activation_bits", "method", "float",
    "dynamic"}} for the operators that write these blobs in the float net; see `rules.rules_of`."""

    method: str = "min_max"
    weights: str = "min_max"
    percentile: float = 99.99
    pair_safe: bool = False
    equalization: str = "none"
    bias: str = "none"
    embeddings: str = "fused8"
    target: str = "caffe2"
    granularity: str = "tensor"
    weight_bits: int = 8
    activation_bits: int = 8
    activations: str = "asymmetric"
    symmetric_weights: bool = True
    power_of_two: bool = False
    overrides: Overrides = field(default_factory=dict)

    def check(self) -> Settings:
        """ArgumentError for what cannot be."""
        for what, value, known in (
            ("method", self.method, METHODS),
            ("weights", self.weights, WEIGHT_KINDS),
            ("equalization", self.equalization, equalization.KINDS),
            ("bias", self.bias, bias_correction.KINDS),
            ("embeddings", self.embeddings, EMBEDDINGS),
            ("target", self.target, TARGETS),
            ("granularity", self.granularity, GRANULARITIES),
            ("weight_bits", self.weight_bits, BITS),
            ("activation_bits", self.activation_bits, BITS),
            ("activations", self.activations, ACTIVATIONS),
            ("symmetric_weights", self.symmetric_weights, (True, False)),
        ):
            if not is_one_of(value, known):
                raise ArgumentError(f"{what} is {value!r}; it must be one of {', '.join(map(str, known))}")
        if not 0 < self.percentile <= 100:
            raise ArgumentError(f"percentile is {self.percentile}; it must be above 0 and at most 100")
        kinds: dict[str, Any] = {"granularity": GRANULARITIES, "weights": WEIGHT_KINDS, "weight_bits": BITS}
        check_overrides(self.overrides, kinds | {"activation_bits": BITS, "method": METHODS})
        self._check_target()
        return self

    def _check_target(self) -> None:
        asked = [self.granularity, *(given.get("granularity", "tensor") for given in self.overrides.values())]
        for what, is_asked in (
            ("a granularity", asked != ["tensor"] * len(asked)),
            ("pair_safe", self.pair_safe),
            ('weights "search"', "search" in (self.weights, *(o.get("weights") for o in self.overrides.values()))),
        ):
            if is_asked and not self.symmetric_weights:
                raise ArgumentError(f"{what} goes with symmetric weights alone")
        for granularity in asked:
            if self.target == "caffe2" and granularity == "channel":
                raise ArgumentError(
                    'granularity "channel" needs target "serverquant": Caffe2 1.8.1 has no such convolution'
                )
            if self.target == "caffe2" and granularity == "group" and self.pair_safe:
                raise ArgumentError(
                    'granularity "group" goes with pair_safe for target "serverquant" alone: Caffe2 chooses the scales'
                )


PRESETS = {
    "fast": Settings(),
    "default": Settings(equalization="through_clip", bias="empirical"),
}


@dataclass
class Result:
    """init, predict: the int8 net. recipe: what was chosen and why, plain JSON values. statistics: what it rests on.
    reference: the float net, (init, predict), rewritten, whose blobs the recipe names."""

    init: NetDef
    predict: NetDef
    recipe: dict[str, Any]
    statistics: Statistics
    reference: tuple[NetDef, NetDef]

    def report(
        self,
        data: Any,
        *,
        samples: int = REPORT_SAMPLES,
        batch: int = BATCH,
        progress: Callable[[], None] | None = None,
    ) -> Report:
        """What it costs and gives, measured on at most so many samples of the data: errors, times, sizes, ranges
        (docs/quantize.md). Both nets are run and timed."""
        from serverquant.quantization.report import made, measure

        return made.Report(measure.measure(self, data, samples, batch, progress))

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write init_net.pb, predict_net.pb and recipe.json; what was there stays until all three are complete. The
        report of an earlier net goes (`Report.save` writes a new one)."""
        from serverquant.quantization.report.made import FILES as REPORT_FILES

        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=".quantize-", dir=target))
        try:
            save(self.init, made / FILES[0])
            save(self.predict, made / FILES[1])
            (made / FILES[2]).write_text(json.dumps(self.recipe, indent=1) + "\n")
            for name in REPORT_FILES:  # of what was there before
                (target / name).unlink(missing_ok=True)
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
    preset: str = "default",
    recipe: dict[str, Any] | str | os.PathLike[str] | None = None,
    method: str | None = None,
    weights: str | None = None,
    percentile: float | None = None,
    pair_safe: bool | None = None,
    equalization: str | None = None,
    bias: str | None = None,
    embeddings: str | None = None,
    target: str | None = None,
    granularity: str | None = None,
    weight_bits: int | None = None,
    activation_bits: int | None = None,
    activations: str | None = None,
    symmetric_weights: bool | None = None,
    power_of_two: bool | None = None,
    overrides: Overrides | None = None,
    batch: int | None = None,
    progress: Progress | None = None,
) -> Result:
    """The int8 net of a float net.

    init, predict: paths or any other source of a NetDef. data: calibration data, see `quantization.data.Data`; what
    can be gone through only once is kept in memory. statistics: what `calibrate` gave for this net, or the path of its
    file; data beside it serve to correct biases alone. Without data no bias is corrected, and the equalization is that
    of the statistics.
    preset: one of PRESETS. recipe: what an earlier call left, or the path of its file, instead: its settings are taken
    again. method, weights, percentile, pair_safe, equalization, bias, embeddings, target, granularity, weight_bits,
    activation_bits, activations, symmetric_weights, power_of_two, overrides: instead of these, see `Settings`. batch,
    progress: see `calibrate`.

    With target `caffe2` the net made runs here and in Caffe2 1.8.1 with the same bytes. What has no int8 form stays
    float; `recipe["float"]` says why; a GainWarning is given where a net will hardly gain. QuantizationError for a net
    that is quantized already, without data, with data that makes a blob infinite or NaN, or with a recipe or statistics
    of another net.
    """
    given: dict[str, Any] = {"method": method, "weights": weights, "percentile": percentile, "pair_safe": pair_safe}
    given.update(equalization=equalization, bias=bias, embeddings=embeddings)
    given.update(target=target, granularity=granularity, overrides=overrides)
    given.update(weight_bits=weight_bits, activation_bits=activation_bits)
    given.update(activations=activations, symmetric_weights=symmetric_weights, power_of_two=power_of_two)
    asked = {name: value for name, value in given.items() if value is not None}
    wanted = None if recipe is None else read_recipe(recipe)
    settings = _settings(preset, wanted, asked)
    if data is None and statistics is None:
        raise ArgumentError("give calibration data or statistics")
    net = Net(init, predict)
    check_float(net)
    whole = fingerprint_of(net)
    if wanted is not None and wanted["net"] != whole:
        raise QuantizationError(f'the recipe is that of another net than "{net.name}"')
    data = repeatable(data)
    if statistics is None:
        bench = _calibrated(net, data, settings, batch, progress)
    else:
        known = statistics if isinstance(statistics, Statistics) else Statistics.load(statistics)
        settings = _with_statistics(settings, asked, data)
        bench = _of_statistics(init, predict, known, settings, "equalization" in asked)
    return _write(bench, whole, data, batch)


def _settings(preset: str, recipe: dict[str, Any] | None, asked: dict[str, Any]) -> Settings:
    if preset not in PRESETS:
        raise ArgumentError(f"preset is {preset!r}; it must be one of {', '.join(PRESETS)}")
    base = PRESETS[preset] if recipe is None else Settings(**recipe["settings"])
    return replace(base, **asked).check()


def _with_statistics(settings: Settings, asked: dict[str, Any], data: Any) -> Settings:
    """What can be done with statistics instead of data; ArgumentError when more was asked for by name."""
    if settings.equalization == "through_clip" and "equalization" not in asked:
        settings = replace(settings, equalization="cross_layer")
    if settings.equalization not in DATA_FREE:
        raise ArgumentError(f'equalization "{settings.equalization}" calibrates by itself: give data, not statistics')
    if data is not None:
        return settings
    if asked.get("bias", "none") != "none":
        raise ArgumentError(f'bias "{settings.bias}" runs the net: give calibration data beside the statistics')
    return replace(settings, bias="none")


@dataclass
class _Bench:
    """A float net ready to be quantized: rewritten, equalized (so many times), its statistics known."""

    net: Net
    passes: dict[str, int]
    equalized: int
    statistics: Statistics
    settings: Settings


def _calibrated(net: Net, data: Any, settings: Settings, batch: int | None, progress: Progress | None) -> _Bench:
    passes = simplify(net)
    rules_of(net, Rule(), settings.overrides)  # what matches nothing is told before the work
    seen = None
    if needs_statistics(net, settings.equalization):
        seen = calibrate_net(net, data, batch, _part(progress, 0))
        progress = _part(progress, seen.samples)
    equalized = equalize(net, settings.equalization, seen)
    methods = {settings.method, *(given.get("method") for given in settings.overrides.values())}
    average = AVERAGE if "moving_average" in methods else None
    found = calibrate_net(net, data, batch, progress, average)
    warn_of_doubts(net, found, 3)
    return _Bench(net, passes, equalized, found, settings)


def _part(progress: Progress | None, before: int) -> Progress | None:
    """The progress of one of two calibrations on the same samples, told as of one. before: the first one's samples, in
    the second."""
    if progress is None:
        return None

    def told(done: int, total: int | None) -> None:
        total = before or total
        progress(before + done, total and 2 * total)

    return told


def _of_statistics(init: Any, predict: Any, known: Statistics, settings: Settings, is_asked: bool) -> _Bench:
    """The net equalized as that of the statistics was; in the way of the settings alone when it is asked for."""
    for kind in (settings.equalization, *(() if is_asked else DATA_FREE)):
        net = Net(init, predict)
        check_float(net)
        passes = simplify(net)
        equalized = equalize(net, kind)
        if known.fingerprint == fingerprint_of(net):
            return _Bench(net, passes, equalized, known, replace(settings, equalization=kind))
    otherwise = f', or of one whose equalization is not "{settings.equalization}"' if is_asked else ""
    raise QuantizationError(f'the statistics are those of another net than "{net.name}"{otherwise}; calibrate this one')


def _write(bench: _Bench, whole: str, data: Any, batch: int | None) -> Result:
    net, known, settings = bench.net, bench.statistics, bench.settings
    float_nets, floats = net.protos(), list(net.ops)

    rule = Rule(
        granularity=settings.granularity,
        weights=settings.weights,
        weight_bits=settings.weight_bits,
        activation_bits=settings.activation_bits,
        method=settings.method,
        symmetric=settings.activations == "symmetric",
        symmetric_weights=settings.symmetric_weights,
        power_of_two=settings.power_of_two,
    )
    rules = rules_of(net, rule, settings.overrides)

    def params_of(name: str) -> QParams:
        own = rules.get(name, rule)
        return choose_params(known, name, replace(settings, method=own.method, activation_bits=own.activation_bits))

    emitted = emit(net, known, params_of, rules, settings.target, settings.pair_safe, settings.embeddings)
    if not (emitted.quantized or emitted.int8 or emitted.tables):
        raise QuantizationError(f'nothing in net "{net.name}" can be quantized: {"; ".join(emitted.stays.values())}')
    made = net.protos(emitted.init_ops)
    moved = bias_correction.correct(settings.bias, float_nets, made, emitted.layers, known, data, batch or BATCH)
    recipe = _recipe(bench, whole, moved, emitted)
    recipe["estimate"] = estimate(floats, net, known, emitted)
    if recipe["estimate"]["warning"]:
        warnings.warn(f'net "{net.name}": {recipe["estimate"]["warning"]}', GainWarning, stacklevel=3)
    return Result(*made, recipe, known, float_nets)


def read_recipe(source: dict[str, Any] | str | os.PathLike[str]) -> dict[str, Any]:
    """A recipe, or that of a file; QuantizationError when it is none, damaged, or of another version."""
    found, where = source, "this"
    if not isinstance(source, dict):
        where = os.fspath(source)
        try:
            found = json.loads(Path(source).read_bytes())
        except ValueError as error:
            raise QuantizationError(f"{where} is not a recipe: {error}") from error
    if not isinstance(found, dict) or found.get("format") != RECIPE:
        raise QuantizationError(f"{where} is not a recipe that `quantize` wrote")
    if found.get("version") != RECIPE_VERSION:
        raise QuantizationError(f"{where} is a recipe of version {found.get('version')}, not {RECIPE_VERSION}")
    try:
        Settings(**found["settings"]).check()
        str(found["net"])
    except (KeyError, TypeError, ArgumentError) as error:
        raise QuantizationError(f"the recipe {where} is damaged: {error}") from error
    return found


def choose_params(statistics: Statistics, name: str, settings: Settings) -> QParams:
    """The parameters of a blob, by the method; what is too far from 0 for it takes its whole range."""
    seen = statistics.blobs[name].histogram
    if seen.not_finite:
        raise QuantizationError(
            f'calibration made {seen.not_finite} values of "{name}" infinite or NaN; look at the data and the weights'
        )
    exact = Histogram(seen.counts, np.float32(seen.lo), np.float32(seen.hi))
    method, bits, symmetric = settings.method, settings.activation_bits, settings.activations == "symmetric"
    kept = DEFAULTS._replace(precision=bits, symmetric=symmetric, power_of_two=settings.power_of_two)
    if method == "min_max":
        return choose_from_histogram(exact, "min_max", bits, symmetric, kept)
    if method == "moving_average":
        ends = statistics.blobs[name].average
        if ends is None:
            raise QuantizationError("the statistics have no moving averages; calibrate with average")
        return choose(float(ends[0]), float(ends[1]), bits, symmetric, settings.power_of_two)
    kind = method
    if kind == "percentile":
        kind, kept = "p99", kept._replace(p99_threshold=settings.percentile / 100)
    try:
        return choose_from_histogram(seen.histogram(), kind, bits, symmetric, kept)
    except QuantizationError:  # too far from 0 for a search
        return choose_from_histogram(exact, "min_max", bits, symmetric, kept)


def _recipe(bench: _Bench, whole: str, moved: dict[str, float], emitted: Emitted) -> dict[str, Any]:
    statistics = bench.statistics
    written_by = {name: named(op.type, op.engine) for name, op in bench.net.writers().items()}
    blobs = {}
    for name, params in emitted.params.items():
        seen = statistics.blobs[name].histogram
        blobs[name] = {
            "int8": emitted.int8[name],
            "operator": emitted.quantized.get(name) or written_by[emitted.int8[name]],
            "bits": params.precision,
            "scale": params.scale,
            "zero_point": params.zero_point,
            "seen": [seen.lo, seen.hi],
        }
    return {
        "format": RECIPE,
        "version": RECIPE_VERSION,
        "serverquant": __version__,
        "net": whole,
        "settings": asdict(bench.settings),
        "calibration": {"fingerprint": statistics.fingerprint, "samples": statistics.samples},
        "passes": bench.passes,
        "corrections": {"equalized": bench.equalized, "bias": moved},
        "blobs": blobs,
        "weights": emitted.weights,
        "tables": emitted.tables,
        "float": emitted.stays,
    }
