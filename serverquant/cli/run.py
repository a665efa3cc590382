"""Run a net and print or save its outputs.

serverquant run init_net.pb predict_net.pb --input data=digits.npy --save out.npz
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from serverquant.cli import nets, show


def add_arguments(parser: argparse.ArgumentParser) -> None:
    nets.add_net(parser)
    nets.add_feeds(parser)
    parser.add_argument("--fetch", action="append", default=[], metavar="BLOB", help="an inner blob to give too")
    parser.add_argument("--save", metavar="FILE.npz", help="save the outputs; Int8 ones with NAME__scale, NAME__zero_point")


def run(args: argparse.Namespace) -> None:
    with nets.load_net(args) as predict:
        outputs = predict(nets.feeds(args, predict))
        outputs.update({name: predict.fetch(name) for name in args.fetch})
    if args.save:
        np.savez(args.save, **flat(outputs))
    if args.json:
        show.print_json({name: described(value) | {"values": np.asarray(data(value)).tolist()} for name, value in outputs.items()})
        return
    for name, value in outputs.items():
        facts = described(value)
        print(f"{name}: {facts['dtype']} {facts['shape']}" + (f", scale {value.scale:.6g}, zero point {value.zero_point}" if "scale" in facts else ""))
        print(np.array2string(np.asarray(data(value)), threshold=20, precision=5))


def data(value: Any) -> Any:
    return value.data if hasattr(value, "zero_point") else value


def described(value: Any) -> dict[str, Any]:
    array = np.asarray(data(value))
    facts: dict[str, Any] = {"dtype": str(array.dtype), "shape": list(array.shape)}
    if hasattr(value, "zero_point"):
        facts |= {"scale": float(value.scale), "zero_point": int(value.zero_point)}
    return facts


def flat(outputs: dict[str, Any]) -> dict[str, np.ndarray]:
    """Arrays by name, an Int8 tensor as three."""
    arrays: dict[str, np.ndarray] = {}
    for name, value in outputs.items():
        arrays[name] = np.asarray(data(value))
        if hasattr(value, "zero_point"):
            arrays |= {f"{name}__scale": np.asarray(value.scale), f"{name}__zero_point": np.asarray(value.zero_point)}
    return arrays
