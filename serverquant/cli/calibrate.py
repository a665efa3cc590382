"""Run a float net on data and write the statistics of its blobs, for `serverquant quantize --statistics`.

serverquant calibrate init_net.pb predict_net.pb --data images.npz -o digits.stats
"""

from __future__ import annotations

import argparse


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


def main(args: argparse.Namespace) -> int:
    from serverquant.cli import quantize, show
    from serverquant.quantization.calibrate import calibrate

    data = quantize.data(args)
    found = calibrate(args.init, args.predict, data, equalization=args.equalization, batch=args.batch)
    found.save(args.output)
    if args.json:
        ranges = {name: [blob.histogram.lo, blob.histogram.hi] for name, blob in found.blobs.items()}
        show.as_json({"fingerprint": found.fingerprint, "samples": found.samples, "ranges": ranges})
    else:
        print(f"{args.output}: {len(found.blobs)} blobs, {found.samples} samples")
    return 0
