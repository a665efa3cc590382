"""What several verbs share: loading a net, feeding it."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from serverquant._base.errors import ArgumentError
from serverquant.predictor import Predictor, load

IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".ppm", ".pgm")


def add_net(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("nets", nargs="+", metavar="NET", help="init net and predict net (.pb, .pbtxt), or one MetaNetDef")


def add_feeds(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--input", action="append", default=[], metavar="[NAME=]WHAT",
        help="a .npy or .npz file, an image, random:DIMS (random:1x3x224x224), or a .json file of these by name",
    )
    parser.add_argument("--size", help="images: WIDTHxHEIGHT to scale to")
    parser.add_argument("--mean", default="0", help="images: subtracted, one number or one a channel, comma between")
    parser.add_argument("--std", default="1", help="images: divided by, like --mean")
    parser.add_argument("--scale", type=float, default=1.0, help="images: multiplied first, such as 0.00392157")
    parser.add_argument("--layout", choices=["NCHW", "NHWC"], default="NCHW", help="images: order of the dims")
    parser.add_argument("--color", choices=["RGB", "BGR", "gray"], default="RGB", help="images: channels")


def load_net(args: argparse.Namespace) -> Predictor:
    if len(args.nets) > 2:
        raise ArgumentError(f"give an init net and a predict net, not {len(args.nets)} files")
    for path in args.nets:
        if not Path(path).exists():
            raise FileNotFoundError(f"no such file: {path}")
    return load(*args.nets)


def feeds(args: argparse.Namespace, predict: Predictor) -> dict[str, np.ndarray]:
    """Input name -> array, from the command line."""
    given: dict[str, np.ndarray] = {}
    for text in args.input:
        name, equals, what = text.partition("=")
        if what.endswith(".json") or (not equals and name.endswith(".json")):
            spec = json.loads(Path(what or name).read_text())
            given.update({key: _value(value, args) for key, value in spec.items()})
        elif equals:
            given[name] = _value(what, args)
        elif name.endswith(".npz"):
            given.update(np.load(name))
        else:
            free = [n for n in predict.inputs if n not in given]
            if not free:
                raise ArgumentError(f"{text}: the net has no further input; its inputs are {predict.inputs}")
            given[free[0]] = _value(name, args)
    return given


def _value(what: Any, args: argparse.Namespace) -> np.ndarray:
    if isinstance(what, list):
        return np.array(what, np.float32)
    if what.startswith("random:"):
        dims = [int(d) for d in what.removeprefix("random:").split("x") if d]
        return np.random.default_rng(0).standard_normal(dims, dtype=np.float32)
    path = Path(what)
    if path.suffix.lower() in IMAGES:
        return image(path, args)
    value = np.load(path)
    return value[value.files[0]] if hasattr(value, "files") else value


def image(path: Path, args: argparse.Namespace) -> np.ndarray:
    """float32 1 x C x H x W (or NHWC): (pixel * scale - mean) / std."""
    try:
        from PIL import Image
    except ImportError as error:
        raise ArgumentError("reading images needs pillow: pip install 'serverquant[cli]'") from error
    picture = Image.open(path).convert("L" if args.color == "gray" else "RGB")
    if args.size:
        width, _, height = args.size.partition("x")
        picture = picture.resize((int(width), int(height or width)))
    pixels = np.asarray(picture, np.float32)
    pixels = pixels[..., None] if pixels.ndim == 2 else pixels[..., ::-1] if args.color == "BGR" else pixels
    mean, std = (np.array([float(v) for v in text.split(",")], np.float32) for text in (args.mean, args.std))
    pixels = (pixels * np.float32(args.scale) - mean) / std
    return np.ascontiguousarray(pixels if args.layout == "NHWC" else pixels.transpose(2, 0, 1))[None]
