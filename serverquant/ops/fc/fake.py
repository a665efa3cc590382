"""FC that tries out small floats: X, W and b are cut to fewer bits, sums are those of the float layer."""

from __future__ import annotations

import numpy as np

from serverquant.blobs._blob import Blob
from serverquant.blobs.spec import Spec
from serverquant.ops.dnnlowp.quantized import float_operator
from serverquant.runtime._plan import PythonStep, Step
from serverquant.runtime.late import run_late
from serverquant.runtime.operator import Operator
from serverquant.runtime.registry import register

# engine -> (bits of the pattern that stay, what is added to it before)
BITS = {
    "FAKE_BFP_14": (0xFFFC0000, 0),
    "FAKE_BFP_16": (0xFFFF0000, 0),
    "FAKE_BFP_16_ROUND": (0xFFFF0000, 0x8000),
    "FAKE_BFP_24": (0xFFFFFF00, 0),
}
HALF = "FAKE_FP16"


def cut(x: np.ndarray, engine: str) -> np.ndarray:
    """x with the mantissa that the engine leaves: cut off, rounded half away from zero (..._ROUND), or to the nearest
    half-precision number (FAKE_FP16)."""
    if engine == HALF:
        with np.errstate(over="ignore"):
            return x.astype(np.float16).astype(np.float32)
    mask, offset = BITS[engine]
    return ((x.view(np.uint32) + np.uint32(offset)) & np.uint32(mask)).view(np.float32)


class FakeFC(Operator):
    """Y = X W^T + b of what is left of X, W and b."""

    takes = "float"

    def setup(self) -> None:
        self.floats = float_operator(self)

    def infer(self, ins: list[Spec]) -> list[Spec] | None:
        return self.floats.infer(ins)

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        return PythonStep(self.call)

    def call(self, inputs: list[Blob], outputs: list[Blob]) -> None:
        weight = inputs[1].packed(("cut", self.engine), lambda: self._cut(inputs[1]))
        run_late(self.floats, [self._cut(inputs[0]), weight, self._cut(inputs[2])], outputs)

    def _cut(self, blob: Blob) -> Blob:
        small = Blob(blob.name)
        small.feed(cut(blob.view(), self.engine))
        return small


for _engine in (*BITS, HALF):
    register("FC", engine=_engine)(FakeFC)
