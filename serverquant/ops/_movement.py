"""What operators share that move elements and compute nothing."""

from __future__ import annotations

import numpy as np

from serverquant.blobs import dtypes
from serverquant.blobs._blob import Blob
from serverquant.blobs.spec import INT8, TENSOR, Spec
from serverquant.runtime._plan import PythonStep, Step
from serverquant.runtime.late import late_step, run_late
from serverquant.runtime.operator import Operator


class Movement(Operator):
    """Takes tensors of every type, and Int8 tensors, whose scale and zero point go along. `move` gives the step."""

    def check_types(self, ins: list[Spec]) -> None:
        super().check_types(ins)
        for i, spec in enumerate(ins):
            if spec.kind not in (TENSOR, INT8):
                self.expect(ins, i, "float")

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        if any(spec.dtype == dtypes.STRING for spec in ins):
            return PythonStep(self._move_strings)
        return self.move(ins, outs)

    def plan_late(self, ins: list[Spec], outs: list[Spec]) -> Step:
        return late_step(self)

    def move(self, ins: list[Spec], outs: list[Spec]) -> Step:
        """The native step."""
        raise NotImplementedError

    def _move_strings(self, inputs: list[Blob], outputs: list[Blob]) -> None:
        """The numbers of the strings are moved as int64, then replaced by the strings."""
        pool: list[bytes] = []
        numbered = []
        for blob in inputs:
            if blob.spec().dtype == dtypes.STRING:
                numbers = Blob(blob.name)
                numbers.feed(np.arange(len(pool), len(pool) + blob.spec().size).reshape(blob.dims))
                pool.extend(blob.view().ravel())
                blob = numbers
            numbered.append(blob)
        strings = np.array([*pool, None], object)[:-1]
        moved = [Blob(blob.name) for blob in outputs]
        run_late(self, numbered, moved)
        for i, (blob, found) in enumerate(zip(outputs, moved)):
            value = found.view()
            blob.feed(strings[value] if self.output_type([b.spec() for b in inputs], i)[0] == dtypes.STRING else value)
