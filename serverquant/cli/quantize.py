"""Quantize a float net to int8: calibrate on data, rewrite, write both nets, a recipe and a report.

serverquant quantize init_net.pb predict_net.pb --data images.npz -o out

The folder gets init_net.pb, predict_net.pb and recipe.json; report.json and, with the extra [report], report.html say
what it costs and gives. For them both nets run on some of the data; with --statistics alone there is no report.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from serverquant._base.errors import ArgumentError

if TYPE_CHECKING:
    from serverquant.quantization.ptq import Result
    from serverquant.quantization.report.made import Report


def arguments(parser: argparse.ArgumentParser) -> None:
    from serverquant.quantization.corrections import bias, equalization
    from serverquant.quantization.ptq import ACTIVATIONS, EMBEDDINGS, METHODS, PRESETS, REPORT_SAMPLES, WEIGHT_KINDS
    from serverquant.quantization.rules import BITS, GRANULARITIES, TARGETS

    parser.add_argument("init", metavar="INIT_NET")
    parser.add_argument("predict", metavar="PREDICT_NET")
    data_arguments(parser, required=False)
    parser.add_argument("--statistics", metavar="FILE", help="what `serverquant calibrate` wrote, instead of --data")
    parser.add_argument("-o", "--output", required=True, metavar="FOLDER", help="made when missing")
    parser.add_argument("--preset", choices=tuple(PRESETS), help="settings to start from (default: default)")
    parser.add_argument("--recipe", metavar="FILE", help="recipe.json of the same net: its settings again")
    parser.add_argument("--method", choices=METHODS, help="ranges of activations")
    parser.add_argument("--percentile", type=float, help="share kept by that method (default 99.99)")
    parser.add_argument("--weights", choices=WEIGHT_KINDS, help="ranges of weights")
    parser.add_argument(
        "--embeddings", choices=EMBEDDINGS, help="bits of the rows of tables (default fused8)"
    )
    parser.add_argument(
        "--pair-safe",
        action="store_true",
        default=None,
        help="weights with which Caffe2 saturates on no CPU, with VNNI or without",
    )
    parser.add_argument("--equalization", choices=equalization.KINDS, help="of channels between layers")
    parser.add_argument("--bias", choices=bias.KINDS, help="how biases are corrected")

    parser.add_argument("--target", choices=TARGETS, help="what the net is to run in (default caffe2: there and here)")
    parser.add_argument(
        "--granularity",
        choices=GRANULARITIES,
        help="what of a weight has a scale of its own (default tensor; channel needs --target serverquant)",
    )
    parser.add_argument("--weight-bits", type=int, choices=BITS, metavar="2..16", help="of weights (default 8)")
    parser.add_argument("--activation-bits", type=int, choices=BITS, metavar="2..16", help="of activations (default 8)")
    parser.add_argument("--activations", choices=ACTIVATIONS, help="their zero points (default asymmetric)")
    parser.add_argument(
        "--asymmetric-weights",
        dest="symmetric_weights",
        action="store_false",
        default=None,
        help="levels from the smallest weight to the largest (default: as far on both sides of 0)",
    )
    parser.add_argument("--power-of-two", action="store_true", default=None, help="scales that are powers of two")
    parser.add_argument(
        "--override",
        action="append",
        metavar="BLOB:KEY=VALUE[,...]",
        help="for operators that write such blobs, patterns too: granularity, weights, weight_bits, activation_bits, "
        "method, float=1, dynamic=1 (FC); of inputs of the net activation_bits and method; may be repeated",
    )

    group = parser.add_argument_group("report")
    group.add_argument("--no-report", action="store_true", help="write none")
    group.add_argument(
        "--report-samples",
        type=int,
        default=REPORT_SAMPLES,
        metavar="N",
        help=f"run for it, at most (default {REPORT_SAMPLES})",
    )
    group.add_argument("--report-data", metavar="FILE", help="other samples for it than --data, of the same kinds")


def data_arguments(parser: argparse.ArgumentParser, required: bool = True) -> None:
    """Where samples come from, and how many threads run on them."""
    from serverquant.cli import feeds

    parser.add_argument(
        "--data", required=required, metavar="FILE", help=".npz or .npy of input arrays, or a folder of images"
    )
    parser.add_argument("--batch", type=int, help="samples that run at a time (default: by their size, or 16)")
    parser.add_argument("--threads", type=int, help="threads of the kernels (default: the CPUs at hand)")
    feeds.image_arguments(parser.add_argument_group("images"))


def data(args: argparse.Namespace, where: str | None = None) -> Any:
    """Samples of the options, from `where` or else --data: a file's path, or the images of a folder."""
    from serverquant._base import _threads
    from serverquant.cli import feeds
    from serverquant.quantization.images import Images

    if args.batch is not None and args.batch < 1:
        raise ArgumentError(f"--batch {args.batch}: it must be 1 or more")
    if args.threads is not None:
        _threads.set_num_threads(args.threads)
    path = Path(where or args.data)
    return Images(path, feeds.image_rule(args)) if path.is_dir() else path


def main(args: argparse.Namespace) -> int:
    from serverquant.cli import report as verb
    from serverquant.cli import show
    from serverquant.quantization.ptq import quantize

    if args.report_samples < 1:
        raise ArgumentError(f"--report-samples {args.report_samples}: it must be 1 or more")
    if args.report_data:
        Path(args.report_data).stat()  # a wrong name is told before the work, not behind it
    if Path(args.output).exists() and not Path(args.output).is_dir():
        raise ArgumentError(f"{args.output} is no folder")
    given = data(args) if args.data else None
    with show.warnings_as_lines("quantize"), show.progress("calibrating", None) as advance:
        result = quantize(
            args.init,
            args.predict,
            given,
            statistics=args.statistics,
            preset=args.preset or "default",
            recipe=args.recipe,
            method=args.method,
            weights=args.weights,
            percentile=args.percentile,
            pair_safe=args.pair_safe,
            equalization=args.equalization,
            bias=args.bias,
            embeddings=args.embeddings,
            target=args.target,
            granularity=args.granularity,
            weight_bits=args.weight_bits,
            activation_bits=args.activation_bits,
            activations=args.activations,
            symmetric_weights=args.symmetric_weights,
            power_of_two=args.power_of_two,
            overrides=_overrides(args.override),
            batch=args.batch,
            progress=advance,
        )
    result.save(args.output)
    found = None if args.no_report else _report(args, result)
    written = found.save(args.output) if found else []
    if args.json:
        show.as_json(result.recipe)
        return 0
    blobs, floats = result.recipe["blobs"], result.recipe["float"]
    print(f"{args.output}: {len(blobs)} int8 blobs, calibrated on {result.recipe['calibration']['samples']} samples")
    done = result.recipe["corrections"]
    print(f"{done['equalized']} equalizations between layers, biases of {len(done['bias'])} layers corrected")
    for reason in floats.values():
        print(f"stays float: {reason}")
    gain = result.recipe["estimate"]
    print(f"estimate: {gain['float_us']:g} us float, {gain['int8_us']:g} us int8, for a sample on one core")
    if found:
        print()
        verb.print_worst(found)
        verb.print_summary(found)
        verb.print_files(written)
    elif not args.no_report:
        print("no report: there are no samples to run the nets on; --report-data FILE gives some")
    return 0


def _overrides(given: list[str] | None) -> dict[str, dict[str, Any]] | None:
    """Those of --override; what is said of one pattern in several adds up."""
    from serverquant.quantization.rules import read_override

    found: dict[str, dict[str, Any]] = {}
    for text in given or []:
        pattern, settings = read_override(text)
        found.setdefault(pattern, {}).update(settings)
    return found or None


def _report(args: argparse.Namespace, result: Result) -> Report | None:
    """None where there is nothing to run the nets on."""
    from serverquant.cli import show
    from serverquant.quantization.data import BATCH
    from serverquant.quantization.images import Images

    if not (args.report_data or args.data):
        return None
    given, batch = data(args, args.report_data), args.batch or BATCH
    most = min(len(given), args.report_samples) if isinstance(given, Images) else args.report_samples
    with show.progress("measuring", -(-most // batch)) as advance:
        return result.report(given, samples=args.report_samples, batch=batch, progress=advance)
