"""The operators of a net, each by itself: run on the values that another net has for what they read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from serverquant.blobs.store import Int8
from serverquant.predictor import Predictor
from serverquant.proto import NetDef, OperatorDef
from serverquant.proto.io import load_net
from serverquant.qparams import QParams, quantize
from serverquant.runtime import registry

ONLY_IN_PLACE = {"Append", "CollectTensor", "CopyRowsToTensor", "ScatterAssign", "ScatterWeightedSum"}


class Alone:
    """A net of the operators of (init, predict), cut at the blobs of `cut`.

    An operator that reads a cut blob reads an input of that name instead, so that no error of the operators before it
    comes in; what it writes gets a name of its own. Operators between cut blobs stay chained. An operator with effects
    or with nets within is left out, together with what needs it.

    made: cut blob -> its name there, for `fetch`. inputs: what the operators read.
    """

    def __init__(self, init: Any, predict: Any, cut: Iterable[str]):
        self.made: dict[str, str] = {}
        helper = _cut(load_net(predict), set(cut), self.made)
        self._net = Predictor(init, helper, keep_blobs=True) if helper.op else None
        self.inputs = set(self._net.inputs) if self._net is not None else set()

    def run(self, feeds: Mapping[str, Any]) -> bool:
        """Run on the inputs of the net and the values of its cut blobs; whether all were there, and there was something
        to do. Values that nothing reads may be among them."""
        if self._net is None or not self.inputs <= set(feeds):
            return False
        self._net({name: feeds[name] for name in self.inputs})
        return True

    def fetch(self, name: str) -> Any:
        """What the operator of a cut blob wrote."""
        assert self._net is not None
        return self._net.fetch(self.made[name])

    def close(self) -> None:
        if self._net is not None:
            self._net.close()


def _cut(net: NetDef, cut: set[str], made: dict[str, str]) -> NetDef:
    """The helper net; `made` is filled."""
    found = NetDef(name=f"{net.name}_alone", type="simple")
    found.external_input.extend(net.external_input)
    found.external_input.extend(sorted(cut - set(net.external_input)))
    left = Counter(name for op in net.op for name in op.output)
    now: dict[str, str] = {}  # blob -> its name in the helper; "" when nothing there makes it
    for op in net.op:
        copy = OperatorDef()
        copy.CopyFrom(op)
        copy.input[:] = [now.get(name, name) for name in op.input]
        runs = all(copy.input) and _is_alone(copy)
        for i, name in enumerate(op.output):
            left[name] -= 1
            copy.output[i] = f"alone:{name}:{left[name]}"
            now[name] = copy.output[i] if runs else ""
            if name in cut and not left[name]:
                if runs:
                    made[name] = copy.output[i]
                now[name] = name
        if runs:
            found.op.append(copy)
    found.external_output.extend(made.values())
    return found


def _is_alone(op: OperatorDef) -> bool:
    """Whether it does nothing but to compute its outputs, and may do so into blobs of their own."""
    inner = any(argument.HasField("n") or argument.nets for argument in op.arg)
    return not inner and op.type not in ONLY_IN_PLACE and registry.schema(op.type).effects is False


def as_fed(value: np.ndarray, like: Any) -> Any:
    """A float value in the form that the net's own blob has: where `like` is Int8, quantized with its parameters."""
    if not hasattr(like, "zero_point"):
        return np.ascontiguousarray(value, np.float32)
    params = QParams(like.scale, like.zero_point, 8 * like.data.itemsize)
    return Int8(quantize(value, params), like.scale, like.zero_point)
