"""Run a net on files, images or random numbers; print or save its outputs.

serverquant run init_net.pb predict_net.pb --feed data=cat.png --size 224x224 --scale 0.0039216
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from serverquant._base.errors import ArgumentError

SHOWN = 8  # values of an array that text output shows


def arguments(parser: argparse.ArgumentParser) -> None:
    from serverquant.cli import nets

    nets.arguments(parser)
    parser.add_argument(
        "--output", action="append", metavar="BLOB", help="fetch these blobs instead of the net's outputs"
    )
    parser.add_argument("--save", metavar="FILE", help="write the outputs: .npz, or .npy for one alone")


def main(args: argparse.Namespace) -> int:
    from serverquant.cli import nets, show

    if args.save and Path(args.save).suffix not in (".npy", ".npz"):
        raise ArgumentError(f"--save {args.save}: the name must end in .npz or .npy")
    net = nets.open_net(args, keep_blobs=bool(args.output))
    found = net(nets.inputs(args, net))
    if args.output:
        found = {name: net.fetch(name) for name in args.output}
    if args.save:
        save(Path(args.save), found)
    if args.json:
        show.as_json({name: _as_json(value) for name, value in found.items()})
    elif not args.save:
        for name, value in found.items():
            print(f"{name}: {describe(value)}")
    return 0


def save(path: Path, found: dict[str, Any]) -> None:
    """Write arrays; an Int8 tensor as NAME, NAME__scale and NAME__zero_point."""
    if path.suffix == ".npy":
        if len(found) != 1 or hasattr(next(iter(found.values())), "zero_point"):
            raise ArgumentError(f"{path} holds one plain array, but there are {', '.join(found)}; save as .npz")
        np.save(path, next(iter(found.values())))
        return
    flat: dict[str, Any] = {}
    for name, value in found.items():
        if hasattr(value, "zero_point"):
            flat |= {
                name: value.data,
                f"{name}__scale": np.float32(value.scale),
                f"{name}__zero_point": value.zero_point,
            }
        else:
            flat[name] = value
    with open(path, "wb") as file:  # a file, because savez takes names of arrays for its own parameters' names
        np.savez(file, **flat)


def describe(value: Any) -> str:
    """Type, shape, and values: few are shown whole, of many the range and the largest."""
    suffix = ""
    if hasattr(value, "zero_point"):
        suffix, value = f", scale {value.scale:.6g}, zero point {value.zero_point}", value.data
    if not isinstance(value, np.ndarray):
        return repr(value)
    head = f"{value.dtype} {value.shape}{suffix}"
    if value.size <= SHOWN or value.dtype == object:
        return f"{head}\n  {np.array2string(value, precision=6, threshold=SHOWN)}"
    lines = [f"{head}, from {value.min():.6g} to {value.max():.6g}"]
    rows = value.reshape(-1, value.shape[-1])
    for i, row in enumerate(rows[:SHOWN] if value.ndim <= 2 else ()):
        best = np.argsort(-row.astype(np.float64), kind="stable")[:5]
        lines.append(f"  [{i}] largest: " + ", ".join(f"{j}: {row[j]:.6g}" for j in best))
    if value.ndim <= 2 and len(rows) > SHOWN:
        lines.append(f"  ... {len(rows) - SHOWN} more rows")
    return "\n".join(lines)


def _as_json(value: Any) -> Any:
    if hasattr(value, "zero_point"):
        return {**_as_json(value.data), "scale": float(value.scale), "zero_point": int(value.zero_point)}
    if isinstance(value, np.ndarray):
        data = [v.decode("utf-8", "replace") for v in value.flat] if value.dtype == object else value
        return {"dtype": str(value.dtype), "shape": value.shape, "data": data}
    return repr(value)
