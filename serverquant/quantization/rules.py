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
BITS = tuple(range(2, 17))  # of activations and weights; above BYTE they take engine DNNLOWP_16
BYTE = 8
# Above so many bits these kinds search for minutes; kl says nothing besides where levels outnumber a histogram's bins.
SEARCHED_BITS = {
    "method": {"kl": 11},
    "weights": {"kl": 11, "l1": 12},
    "asymmetric weights": {"kl": 8, "l1": 10, "l2": 12},
}
FLAGS = ("float", "dynamic")
INPUT = "(input)"  # stands for the type of what writes an input of the net
OF_INPUTS = {"method", "activation_bits"}  # what an override may say of one
EQUALIZED = "_equalized"  # at the end of names of blobs whose channels were evened out
Overrides = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Rule:
    """granularity, weights, weight_bits, activation_bits, method, symmetric_weights, power_of_two: as in
    `ptq.Settings`. symmetric: activations are. float: it stays float. dynamic: an FC reads floats and quantizes them
    at each run, by the range that they have then."""

    granularity: str = "tensor"
    weights: str = "min_max"
    weight_bits: int = 8
    activation_bits: int = 8
    method: str = "min_max"
    float: bool = False
    dynamic: bool = False
    symmetric: bool = False
    symmetric_weights: bool = True
    power_of_two: bool = False

    def check(self, name: str) -> None:
        """ArgumentError for widths that nothing can do. name: of the blob, for the message."""
        widest = max(self.weight_bits, self.activation_bits)
        if widest > BYTE and self.granularity == "channel":
            raise ArgumentError(
                f'granularity "channel" goes with {BYTE} bits at most, and "{name}" asks for {widest}: '
                "above that a weight has one scale"
            )
        weights = "weights" if self.symmetric_weights else "asymmetric weights"
        for what, kind, bits in (
            (weights, self.weights, self.weight_bits),
            ("method", self.method, self.activation_bits),
        ):
            most = SEARCHED_BITS[what].get(kind, bits)
            if bits > most:
                raise ArgumentError(f'{what} "{kind}" goes with {most} bits at most, and "{name}" asks for {bits}')


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
            if key in kinds and not is_one_of(value, kinds[key]):
                raise ArgumentError(
                    f'override "{pattern}": {key} is {value!r}; it must be one of {", ".join(map(str, kinds[key]))}'
                )


def is_one_of(value: Any, known: Sequence[Any]) -> bool:
    """Whether it is one of these, of the same type: 8.0 is no number of bits."""
    return any(value == other and type(value) is type(other) for other in known)


def read_override(text: str) -> tuple[str, dict[str, Any]]:
    """(pattern, settings) of PATTERN:KEY=VALUE[,KEY=VALUE...]; flags are 1 or 0. Values are checked with the others."""
    pattern, colon, rest = text.rpartition(":")
    pairs = [part.partition("=") for part in rest.split(",")]
    if not colon or not pattern or not all(equals and value for _, equals, value in pairs):
        raise ArgumentError(f"override {text!r} must be PATTERN:KEY=VALUE[,KEY=VALUE], such as fc*:float=1")
    flags: dict[str, Any] = {"1": True, "0": False}
    numbers = {str(bits): bits for bits in BITS}
    read = {**dict.fromkeys(FLAGS, flags), "weight_bits": numbers, "activation_bits": numbers}
    return pattern, {key: read.get(key, {}).get(value, value) for key, _, value in pairs}


def rules_of(net: Net, rule: Rule, overrides: Overrides) -> dict[str, Rule]:
    """By blob that an operator of the net writes, and by input of the net, its rule: `rule`, and what the overrides
    that match say otherwise, the later ones where they disagree. ArgumentError for an override that matches nothing,
    that asks no FC to be dynamic, or for what `Rule.check` refuses.

    A layer and the activation that fuses with it have one rule, whichever of the two an override names. Of an input
    only OF_INPUTS can be said."""
    found, readers = {}, net.readers()
    matched: dict[str, set[str]] = {pattern: set() for pattern in overrides}
    for blobs, types in _units(net, readers):
        here = rule
        for pattern, given in overrides.items():
            if any(_matches(name, pattern) for name in blobs):
                told = {key: value for key, value in given.items() if types != [INPUT] or key in OF_INPUTS}
                here = replace(here, **told)
                matched[pattern].update(types)
        for name in blobs:
            here.check(name.removesuffix(EQUALIZED))
            found[name] = here
    for pattern, kinds in matched.items():
        if kinds == {INPUT} and (more := set(overrides[pattern]) - OF_INPUTS):
            raise ArgumentError(f'override "{pattern}" says {", ".join(sorted(more))} of an input of the net')
        if not kinds:
            near = difflib.get_close_matches(pattern, [name.removesuffix(EQUALIZED) for name in found], 3, 0.3)
            closest = f"; the closest are {', '.join(near)}" if near else ""
            raise ArgumentError(f'override "{pattern}" matches no blob that an operator writes{closest}')
        if overrides[pattern].get("dynamic") and "FC" not in kinds:
            raise ArgumentError(f'override "{pattern}" asks {", ".join(sorted(kinds))} to be dynamic; FC alone can be')
    return found


def _units(net: Net, readers: dict[str, list[OperatorDef]]) -> Iterator[tuple[list[str], list[str]]]:
    """(blobs, types) that have one rule: an input, or what an operator writes, with the activation that may fuse with
    it."""
    for name in net.inputs:
        yield [name], [INPUT]
    done: set[int] = set()
    for op in net.ops:
        if id(op) in done:
            continue
        behind = net.activation(op.output[0], readers) if op.output else None
        if behind is not None:
            done.add(id(behind[0]))
        ops = [op] if behind is None else [op, behind[0]]
        yield [name for each in ops for name in each.output], [each.type for each in ops]


def _matches(name: str, pattern: str) -> bool:
    """By its name before its channels were evened out, too."""
    names = (name, name.removesuffix(EQUALIZED))
    return any(pattern == n or fnmatchcase(n, pattern) for n in names)
