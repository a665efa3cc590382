"""Arrays for a net's inputs: .npy and .npz files, images, a JSON description of them, or random numbers."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from serverquant._base.errors import ArgumentError
from serverquant.blobs import dtypes
from serverquant.blobs.store import Int8, closest
from serverquant.proto.io import ARRAY_FAULTS
from serverquant.quantization.images import ImageRule, read_npy

_DTYPES = {str(dtype): dtype for number, dtype in dtypes.NUMPY.items() if number != dtypes.STRING}
_SPEC_KEYS = (
    "path",
    "key",
    "value",
    "random",
    "dtype",
    "low",
    "high",
    "int8",
    "size",
    "mean",
    "std",
    "scale",
    "layout",
    "color",
)


# ---- command line ------------------------------------------------------------------------------------------------


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options that say what a net's inputs get."""
    group = parser.add_argument_group("inputs")
    group.add_argument(
        "--feed",
        action="append",
        default=[],
        metavar="[NAME=]FILE",
        help=".npy, .npz (FILE:KEY for one array) or an image; several images of one name are a batch",
    )
    group.add_argument(
        "--shape",
        action="append",
        default=[],
        metavar="[NAME=]DIMS[:DTYPE]",
        help="random numbers of this shape, such as data=1x3x224x224 or ids=8:int64",
    )
    group.add_argument("--spec", metavar="FILE.json", help="feeds as JSON: {name: {path|value|random: ..., size: ...}}")
    group.add_argument("--seed", type=int, default=0, help="of random numbers (default 0)")
    image_arguments(group)


def image_arguments(group: Any) -> None:
    """The options that say how an image becomes an input."""
    group.add_argument("--size", metavar="HxW", help="resize images")
    group.add_argument("--mean", metavar="M[,M,M]", help="subtracted from pixel * scale, by channel (default 0)")
    group.add_argument("--std", metavar="S[,S,S]", help="divided by, by channel (default 1)")
    group.add_argument("--scale", type=float, default=1.0, help="factor of pixels 0 to 255 (default 1)")
    group.add_argument("--layout", choices=("NCHW", "NHWC"), default="NCHW")
    group.add_argument("--color", choices=("rgb", "bgr", "gray"), default="rgb")


def from_arguments(args: argparse.Namespace, inputs: Sequence[str]) -> dict[str, Any]:
    """Input name -> value, of what the options say; `inputs` are the net's."""
    rule = image_rule(args)
    random = np.random.default_rng(args.seed)
    found: dict[str, Any] = _from_spec(args.spec, rule, random) if args.spec else {}
    parts: dict[str, list[Any]] = {}
    for text in args.feed:
        for name, value in _from_file(text, rule, inputs).items():
            parts.setdefault(name, []).append(value)
    found.update({name: values[0] if len(values) == 1 else _batch(name, values) for name, values in parts.items()})
    for text in args.shape:
        name, shape = _named(text, inputs)
        found[name] = random_array(random, *_shape(shape))
    for name in found:
        if name not in inputs:
            raise ArgumentError(
                f'the net has no input "{name}"{closest(name, list(inputs))}; it has {", ".join(inputs)}'
            )
    return found


def image_rule(args: argparse.Namespace) -> ImageRule:
    """What the options of `image_arguments` say."""
    return ImageRule(
        _size(args.size), _floats(args.mean, (0.0,)), _floats(args.std, (1.0,)), args.scale, args.layout, args.color
    )


def _named(text: str, inputs: Sequence[str]) -> tuple[str, str]:
    name, equals, rest = text.partition("=")
    if equals:
        return name, rest
    if len(inputs) != 1:
        raise ArgumentError(f"{text}: say which input, as NAME={text}; the net has {', '.join(inputs) or 'none'}")
    return inputs[0], text


def _from_file(text: str, rule: ImageRule, inputs: Sequence[str]) -> dict[str, Any]:
    if "=" not in text and text.endswith(".npz"):
        arrays = _load_npz(Path(text))
        if set(arrays) & set(inputs):
            return {name: arrays[name] for name in arrays if name in inputs}
    name, path = _named(text, inputs)
    return {name: read_file(path, rule)}


def read_file(text: str, rule: ImageRule) -> np.ndarray:
    """The array of `FILE` or `FILE.npz:KEY`."""
    path, _, key = text.partition(".npz:")
    if key:
        return _member(Path(path + ".npz"), key)
    if text.endswith(".npz"):
        return _member(Path(text), "")
    if text.endswith(".npy"):
        return read_npy(Path(text))
    return rule.read(Path(text))


def _member(path: Path, key: str) -> np.ndarray:
    arrays = _load_npz(path)
    if not key and len(arrays) == 1:
        return next(iter(arrays.values()))
    if key not in arrays:
        raise ArgumentError(f"{path} holds {', '.join(arrays)}; say which one, as {path}:KEY")
    return arrays[key]


def _load_npz(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as members:
            return dict(members)
    except ARRAY_FAULTS as error:
        raise ArgumentError(f"{path} is not an .npz file of numbers: {error}") from error


def _batch(name: str, values: list[np.ndarray]) -> np.ndarray:
    if len({v.shape[1:] for v in values}) > 1:
        raise ArgumentError(
            f'the files fed to "{name}" have different shapes ({", ".join(str(v.shape) for v in values)}); use --size'
        )
    return np.concatenate(values)


# ---- JSON --------------------------------------------------------------------------------------------------------


def _from_spec(path: str, rule: ImageRule, random: np.random.Generator) -> dict[str, Any]:
    try:
        spec = json.loads(Path(path).read_text())
        return {name: _from_entry(name, entry, rule, random) for name, entry in spec.items()}
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ArgumentError(f"{path} is not JSON: {error}") from error
    except (AttributeError, TypeError, ValueError) as error:
        raise ArgumentError(f"{path}: {error}") from error


def _from_entry(name: str, entry: Mapping[str, Any], rule: ImageRule, random: np.random.Generator) -> Any:
    for key in entry:
        if key not in _SPEC_KEYS:
            raise ArgumentError(
                f'"{name}" has unknown key {key}{closest(key, list(_SPEC_KEYS))}; known: {", ".join(_SPEC_KEYS)}'
            )
    if "path" in entry:
        paths = [entry["path"]] if isinstance(entry["path"], str) else entry["path"]
        key = f":{entry['key']}" if "key" in entry else ""
        array = _batch(name, [read_file(path + key, _image_rule(entry, rule)) for path in paths])
    elif "value" in entry:
        array = np.array(entry["value"], _dtype(entry["dtype"]) if "dtype" in entry else None)
    elif "random" in entry:
        array = random_array(
            random, tuple(entry["random"]), _dtype(entry.get("dtype", "float32")), entry.get("low"), entry.get("high")
        )
    else:
        raise ArgumentError(f'"{name}" needs one of path, value, random')
    if array.dtype == np.float64 and "dtype" not in entry:
        array = array.astype(np.float32)
    if "int8" in entry:
        return Int8(
            array.astype(np.uint8) if array.dtype == np.int64 else array,
            entry["int8"]["scale"],
            entry["int8"]["zero_point"],
        )
    return array


def _image_rule(entry: Mapping[str, Any], rule: ImageRule) -> ImageRule:
    changed: dict[str, Any] = {key: entry[key] for key in ("scale", "layout", "color") if key in entry}
    for key in ("size", "mean", "std"):
        if key in entry:
            changed[key] = tuple(entry[key]) if isinstance(entry[key], list) else (entry[key],)
    return replace(rule, **changed)


# ---- numbers -----------------------------------------------------------------------------------------------------


def random_array(
    random: np.random.Generator, shape: tuple[int, ...], dtype: Any, low: float | None = None, high: float | None = None
) -> np.ndarray:
    """Random numbers: floats normal, or uniform in [low, high]; uint8 0 to 255 and other integers 0 to 9 by default."""
    dtype = np.dtype(dtype)
    if dtype.kind == "f" and low is None and high is None:
        return random.standard_normal(shape).astype(dtype)
    low = 0 if low is None else low
    if dtype.kind == "f":
        return random.uniform(low, low + 1 if high is None else high, shape).astype(dtype)
    if dtype.kind == "b":
        return random.integers(0, 2, shape).astype(dtype)
    high = (255 if dtype == np.uint8 else 9) if high is None else high
    return random.integers(int(low), int(high) + 1, shape).astype(dtype)


def _shape(text: str) -> tuple[tuple[int, ...], Any]:
    shape, _, dtype = text.partition(":")
    return _integers(shape), _dtype(dtype or "float32")


def _integers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(n) for n in text.lower().replace(",", "x").split("x") if n)
    except ValueError as error:
        raise ArgumentError(f"{text} is not a shape such as 1x3x224x224") from error


def _dtype(name: str) -> Any:
    if name not in _DTYPES:
        raise ArgumentError(f"unknown data type {name}{closest(name, list(_DTYPES))}; known: {', '.join(_DTYPES)}")
    return _DTYPES[name]


def _size(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    found = _integers(text)
    if len(found) not in (1, 2) or min(found) < 1:
        raise ArgumentError(f"--size {text} is not a size such as 224x224")
    return found[0], found[-1]


def _floats(text: str | None, default: tuple[float, ...]) -> tuple[float, ...]:
    try:
        return default if text is None else tuple(float(v) for v in text.split(","))
    except ValueError as error:
        raise ArgumentError(f"{text} is not a list of numbers such as 0.485,0.456,0.406") from error
