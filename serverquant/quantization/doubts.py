"""What speaks against calibration data that can be used: signs in the statistics that they are not what was meant."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from serverquant.proto import OperatorDef
from serverquant.quantization.net import Net, arguments
from serverquant.quantization.statistics import BlobStatistics, Statistics

MOST = 0.99  # share of a blob's values that an activation may cut off before it is doubted
PIXEL_RANGE = 100.0  # images whose values are not negative and reach this were probably not scaled


def doubts(net: Net, found: Statistics) -> list[str]:
    """One sentence for each doubt."""
    return [*_of_samples(found), *_of_inputs(net, found), *_of_activations(net, found)]


def _of_samples(found: Statistics) -> Iterator[str]:
    if found.samples == 1:
        yield "calibrated on one sample: other data may well leave its ranges; take some hundred"


def _of_inputs(net: Net, found: Statistics) -> Iterator[str]:
    for name in net.inputs:
        blob = found.blobs.get(name)
        if blob is None or not blob.histogram.total:
            continue
        lo, hi = blob.histogram.lo, blob.histogram.hi
        if lo == hi:
            yield f'all calibration data of input "{name}" are {lo:g}'
        elif len(blob.shape) == 3 and lo >= 0 and PIXEL_RANGE <= hi <= 255:
            yield (
                f'images of input "{name}" have values of {lo:g} to {hi:g}, like pixels as they are; the net may have '
                "been trained on scaled ones (scale, mean, std)"
            )


def _of_activations(net: Net, found: Statistics) -> Iterator[str]:
    cut = []
    for op in net.ops:
        blob = found.blobs.get(op.output[0]) if op.output else None
        if blob is not None and blob.histogram.total and _cut_off(op, blob) > MOST:
            cut.append(f'{op.type} "{op.output[0]}"')
    if cut:
        named = ", ".join(cut[:3]) + (f" and {len(cut) - 3} others" if len(cut) > 3 else "")
        yield (
            f"more than {100 * MOST:g} % of the values that reach {named} are cut off: the calibration data may not be "
            "scaled as the net expects"
        )


def _cut_off(op: OperatorDef, blob: BlobStatistics) -> float:
    """Share of an activation's values that lie where it cuts off. Of Relu only one that lets nothing through counts:
    many good nets have layers that are nearly always 0."""
    args = arguments(op)
    if op.type == "Relu":
        return float(blob.histogram.hi == 0)
    if op.type == "ReluN":
        return _share(blob, 0.0, args.float("n", 1.0))
    if op.type == "Clip":
        return _share(blob, args.float("min", -np.inf), args.float("max", np.inf))
    ends = {"Sigmoid": (0.0, 1.0), "Tanh": (-1.0, 1.0)}.get(op.type, ())
    return _share(blob, *ends)


def _share(blob: BlobStatistics, *ends: float) -> float:
    """Of the values in the bins of these ends."""
    seen = blob.histogram
    places = {int(np.floor(end * 2.0**-seen.exponent)) - seen.first for end in ends if seen.lo <= end <= seen.hi}
    return float(sum(int(seen.counts[place]) for place in places)) / seen.total
