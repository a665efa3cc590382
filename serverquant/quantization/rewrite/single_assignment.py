"""Every value gets a name of its own.

A net may write a blob twice, mostly in place: y = f(x), y = g(y). The values are f(x) and g(f(x)); one histogram for
both, or one set of quantization parameters, would be wrong.
All but the last get new names, so that outputs keep theirs.
"""

from __future__ import annotations

from collections import Counter

from serverquant._base.errors import QuantizationError
from serverquant.quantization.net import Net


def apply(net: Net) -> int:
    """Rename; QuantizationError for a net that returns an input under its own name, changed."""
    left = Counter(name for op in net.ops for name in op.output)
    now: dict[str, str] = {}
    renamed = 0
    for op in net.ops:
        op.input[:] = [now.get(name, name) for name in op.input]
        for i, name in enumerate(op.output):
            left[name] -= 1
            if name in net.captured:
                continue
            is_given = name in net.inputs
            if is_given and name in net.outputs and not left[name]:
                raise QuantizationError(
                    f'net "{net.name}" overwrites its input "{name}" and returns it; rename its output'
                )
            if left[name] or is_given:
                now[name] = op.output[i] = net.unique(name)
                renamed += 1
            else:
                now.pop(name, None)
    return renamed
