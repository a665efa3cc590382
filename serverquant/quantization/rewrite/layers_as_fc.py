"""Products with a constant matrix become FC, y = x W^T + b, which is what has an int8 form with packed weights.

    FCTransposed(x, V, b)       W = V^T
    MatMul(x, V)                W = V^T, b = 0, and with trans_b W = V
    BatchMatMul(x, V)           the same; x is read from its last axis on

What transposes x stays.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from serverquant.proto import OperatorDef
from serverquant.quantization.net import Net, arguments, operator

TYPES = ("FCTransposed", "MatMul", "BatchMatMul")


def apply(net: Net) -> int:
    made = 0
    for i, op in enumerate(net.ops):
        if op.type in TYPES and not op.engine and (found := _fc(net, op)) is not None:
            net.ops[i] = found
            made += 1
    return made


def _fc(net: Net, op: OperatorDef) -> OperatorDef | None:
    args, value = arguments(op), net.weight(op.input[1])
    if len(op.input) != (3 if op.type == "FCTransposed" else 2):
        return None
    if value is None or value.dtype != np.float32 or value.ndim != 2 or net.weight(op.input[0]) is not None:
        return None
    if args.int("trans_a", 0) or any(args.int(name, 1) != 1 for name in ("axis", "axis_a", "axis_b", "axis_w")):
        return None
    matrix = value if op.type != "FCTransposed" and args.int("trans_b", 0) else value.T
    axis: dict[str, Any] = {"axis": -1} if op.type == "BatchMatMul" else {}
    weight = net.add_weight(f"{op.input[1]}_fc", matrix)
    bias = op.input[2] if op.type == "FCTransposed" else net.add_weight(f"{op.output[0]}_bias", np.zeros(len(matrix)))
    made = operator("FC", [op.input[0], weight, bias], list(op.output), **axis)
    made.name = op.name
    return made
