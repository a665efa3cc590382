"""Run a float net on data and write the statistics of its blobs, for `serverquant quantize --statistics`.

serverquant calibrate init_net.pb predict_net.pb --data images.npz -o digits.stats

What is there so far is kept in FILE.part: Ctrl-C, a kill or a faulty image lose at most --save-every batches, and the
same command with --resume goes on, to the same bytes.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from serverquant._base.errors import ArgumentError


def arguments(parser: argparse.ArgumentParser) -> None:
    from serverquant.cli import quantize
    from serverquant.quantization.corrections.equalization import DATA_FREE

    parser.add_argument("init", metavar="INIT_NET")
    parser.add_argument("predict", metavar="PREDICT_NET")
    quantize.data_arguments(parser)
    parser.add_argument(
        "--equalization", choices=DATA_FREE, default="cross_layer", help="as for quantize (default cross_layer)"
    )
    parser.add_argument("-o", "--output", required=True, metavar="FILE")
    parser.add_argument(
        "--average", type=float, metavar="W", help="keep moving averages of ranges too: a batch counts W, such as 0.01"
    )
    parser.add_argument(
        "--save-every", type=int, default=50, metavar="N", help="write FILE.part after N batches (default 50; 0: never)"
    )
    parser.add_argument("--resume", action="store_true", help="go on from FILE.part, if it is there")


def main(args: argparse.Namespace) -> int:
    from serverquant.cli import quantize, show
    from serverquant.quantization.calibrate import calibrate

    if args.save_every < 0:
        raise ArgumentError(f"--save-every {args.save_every}: it must be 0 or more")
    part = Path(f"{args.output}.part")
    before = _written(part)
    try:
        with show.warnings_as_lines("calibrate"), show.progress("calibrating", None) as advance:
            found = calibrate(
                args.init,
                args.predict,
                quantize.data(args),
                equalization=args.equalization,
                batch=args.batch,
                average=args.average,
                output=args.output,
                save_every=args.save_every,
                resume=args.resume,
                progress=advance,
            )
    except BaseException:
        if _written(part) != before:
            print(f"serverquant calibrate: what was counted is in {part}; --resume goes on", file=sys.stderr)
        raise
    if args.json:
        ranges = {name: [blob.histogram.lo, blob.histogram.hi] for name, blob in found.blobs.items()}
        show.as_json({"fingerprint": found.fingerprint, "samples": found.samples, "ranges": ranges})
    else:
        print(f"{args.output}: {len(found.blobs)} blobs, {found.samples} samples")
    return 0


def _written(path: Path) -> int | None:
    return path.stat().st_mtime_ns if path.exists() else None
