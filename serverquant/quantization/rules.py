"""How each operator is quantized: by the settings of all, and by overrides that name the blob that it writes."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

from serverquant._base.errors import ArgumentError
from serverquant.proto import OperatorDef
from serverquant.quantization.net import Net

TARGETS = ("caffe2", "serverquant")
GRANULARITIES = ("tensor", "channel", "group")
WEIGHT_BITS = tuple(range(2, 9))
FLAGS = ("float", "dynamic")
EQUALIZED = "_equalized"  # at the end of names of blobs whose channels were evened out
Overrides = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Rule:
    """granularity, weights, weight_bits, method, power_of_two: as in `ptq.Settings`. symmetric: activations are. float:
    it stays float. dynamic: an FC reads floats and quantizes them at each run, by the range that they have then."""

    granularity: str = "tensor"
    weights: str = "min_max"
    weight_bits: int = 8
    method: str = "min_max"
    float: bool = False
    dynamic: bool = False
    symmetric: bool = False
    power_of_two: bool = False


def check_overrides(overrides: Any, kinds: Mapping[str, Sequence[Any]]) -> None:
    """ArgumentError unless they are {blob or pattern: {key: value}}. kinds: by key what it may be, FLAGS aside."""
    if not isinstance(overrides, dict):
        raise ArgumentError(f"overrides are {overrides!r}; they must be a dict of blobs or patterns")
    for pattern, given in overrides.items():
        if not isinstance(given, dict) or not given:
            raise ArgumentError(f'override "{pattern}" is {given!r}; it must be a dict of settings')
        for key, value in given.items():
            if key not in (*kinds, *FLAGS):
                known = ", ".join((*kinds, *FLAGS))
                raise ArgumentError(f'override "{pattern}" has {key!r}; it must be one of {known}')
            if key in FLAGS and not isinstance(value, bool):
                raise ArgumentError(f'override "{pattern}": {key} is {value!r}; it must be True or False')
            if key in kinds and value not in kinds[key]:
                raise ArgumentError(
                    f'override "{pattern}": {key} is {value!r}; it must be one of {", ".join(map(str, kinds[key]))}'
                )


def read_override(text: str) -> tuple[str, dict[str, Any]]:
    """(pattern, settings) of PATTERN:KEY=VALUE[,KEY=VALUE...]; flags are 1 or 0. Values are checked with the others."""
    pattern, colon, rest = text.rpartition(":")
    pairs = [part.partition("=") for part in rest.split(",")]
    if not colon or not pattern or not all(equals and value for _, equals, value in pairs):
        raise ArgumentError(f"override {text!r} must be PATTERN:KEY=VALUE[,KEY=VALUE], such as fc*:float=1")
    flags: dict[str, Any] = {"1": True, "0": False}
    numbers = {str(bits): bits for bits in WEIGHT_BITS}
    read = {**dict.fromkeys(FLAGS, flags), "weight_bits": numbers}
    return pattern, {key: read.get(key, {}).get(value, value) for key, _, value in pairs}


def rules_of(net: Net, rule: Rule, overrides: Overrides) -> dict[str, Rule]:
    """By blob that an operator of the net writes, its rule: `rule`, and what the overrides that match say otherwise,
    the later ones where they disagree. ArgumentError for an override that matches nothing, or that asks no FC to be
    dynamic.

    A layer and the activation that fuses with it have one rule, whichever of the two an override names."""
    found, readers = {}, net.readers()
    matched: dict[str, set[str]] = {pattern: set() for pattern in overrides}
    for ops in _units(net, readers):
        blobs = [name for op in ops for name in op.output]
        here = rule
        for pattern, given in overrides.items():
            if any(_matches(name, pattern) for name in blobs):
                here = replace(here, **given)
                matched[pattern].update(op.type for op in ops)
        found.update(dict.fromkeys(blobs, here))
    for pattern, types in matched.items():
        if not types:
            near = difflib.get_close_matches(pattern, [name.removesuffix(EQUALIZED) for name in found], 3, 0.3)
            closest = f"; the closest are {', '.join(near)}" if near else ""
            raise ArgumentError(f'override "{pattern}" matches no blob that an operator writes{closest}')
        if overrides[pattern].get("dynamic") and "FC" not in types:
            raise ArgumentError(f'override "{pattern}" asks {", ".join(sorted(types))} to be dynamic; FC alone can be')
    return found


def _units(net: Net, readers: dict[str, list[OperatorDef]]) -> Iterator[list[OperatorDef]]:
    """The operators, each with the activation that may fuse with it."""
    done: set[int] = set()
    for op in net.ops:
        if id(op) in done:
            continue
        behind = net.activation(op.output[0], readers) if op.output else None
        if behind is not None:
            done.add(id(behind[0]))
        yield [op] if behind is None else [op, behind[0]]


def _matches(name: str, pattern: str) -> bool:
    """By its name before its channels were evened out, too."""
    names = (name, name.removesuffix(EQUALIZED))
    return any(pattern == n or fnmatchcase(n, pattern) for n in names)
