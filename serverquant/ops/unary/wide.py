"""Relu of uint16, engine DNNLOWP_16."""

from __future__ import annotations

import numpy as np

from serverquant.blobs._blob import Blob
from serverquant.blobs.spec import Spec
from serverquant.ops.dnnlowp import wide
from serverquant.runtime._plan import PythonStep, Step
from serverquant.runtime.operator import Operator
from serverquant.runtime.registry import register


@register("Relu", engine=wide.ENGINE)
class WideRelu(Operator):
    """Y = max(q, zero point); Y has X's parameters."""

    takes = "int8:uint16"

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        return PythonStep(self.call)

    def call(self, inputs: list[Blob], outputs: list[Blob]) -> None:
        np.maximum(inputs[0].view(), np.uint16(inputs[0].zero_point), out=outputs[0].view())
        outputs[0].set_qparams(inputs[0].scale, inputs[0].zero_point)
