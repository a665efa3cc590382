"""Running a net one operator at a time and looking at the floats: what options.fp_exceptions asks for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from serverquant._base.errors import ServerquantError
from serverquant.blobs import dtypes
from serverquant.blobs._blob import Blob
from serverquant.blobs.spec import TENSOR
from serverquant.runtime._plan import Plan
from serverquant.runtime.planner import Planner

if TYPE_CHECKING:
    from serverquant.runtime.nets.simple import SimpleNet

_FLOATS = (dtypes.FLOAT, dtypes.DOUBLE, dtypes.FLOAT16)


def run_checked(net: SimpleNet) -> None:
    """Run all operators; an error for the first that makes an infinity or NaN of numbers."""
    with net._lock:
        for index, operator in enumerate(net.operators):
            numbers = not _odd(net.inputs_of(index))
            plan = Planner(net, Plan()).build((index,))
            plan.run()
            odd = _odd(blob for _, _, outputs in plan.steps_python for blob in outputs) if numbers else ""
            if odd:
                raise ServerquantError(f"the operator made {odd} of numbers (options.fp_exceptions)").at(operator.place)


def _odd(blobs: Iterable[Blob]) -> str:
    """'NaN in "x"' for the first blob that holds something like it, or ""."""
    for blob in blobs:
        spec = blob.spec()
        if spec.kind == TENSOR and spec.dtype in _FLOATS:
            values = blob.view()
            if not np.isfinite(values).all():
                return f'{"NaN" if np.isnan(values).any() else "infinity"} in "{blob.name}"'
    return ""
