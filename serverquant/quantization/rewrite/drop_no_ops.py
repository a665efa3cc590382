"""Operators that copy their input go: y = x, so whoever reads y can read x.

Dropout is one of them when it is_test, Concat and Sum when they have one input; nobody may read a second output. Where
y must keep its name (an output), x takes it.
"""

from __future__ import annotations

from collections.abc import Callable

from serverquant.proto import OperatorDef
from serverquant.proto.args import Arguments
from serverquant.quantization.net import Net, arguments

COPIES = ("Alias", "Copy", "StopGradient")
WHERE: dict[str, Callable[[Arguments], bool]] = {
    "Dropout": lambda args: bool(args.int("is_test", 0)),
    "Concat": lambda args: not args.int("add_axis", 0),
    "Sum": lambda args: True,
}


def apply(net: Net) -> int:
    gone = []
    for op in net.ops:
        if _copies(net, op) and _join(net, op.input[0], op.output[0], op):
            gone.append(op)
    net.remove(gone)
    return len(gone)


def _copies(net: Net, op: OperatorDef) -> bool:
    if op.type in WHERE and len(op.input) == 1 and not op.engine:
        readers = net.readers()
        unread = all(name not in readers and name not in net.kept for name in op.output[1:])
        return unread and WHERE[op.type](arguments(op))
    return op.type in COPIES and len(op.input) == len(op.output) == 1


def _join(net: Net, x: str, y: str, copy: OperatorDef) -> bool:
    """Make x and y one name; False where both must stay."""
    writers = net.writers()
    if writers.get(y) is not copy:
        return False
    if y not in net.kept:
        old, new = y, x
    elif x in writers and x not in net.kept:
        old, new = x, y
    else:
        return False
    for op in net.ops:
        op.input[:] = [new if name == old else name for name in op.input]
        if op is not copy:
            op.output[:] = [new if name == old else name for name in op.output]
    return True
