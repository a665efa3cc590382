"""InferenceLSTM: layers of LSTMs over a whole sequence."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from serverquant._base.errors import ArgumentError
from serverquant.blobs._blob import Blob
from serverquant.blobs.spec import Spec
from serverquant.kernels.gemm_f32._gemm_f32 import gemm, pack
from serverquant.kernels.recurrent._recurrent import py_lstm_unit
from serverquant.runtime._plan import PythonStep, Step
from serverquant.runtime.operator import Operator
from serverquant.runtime.registry import register

# PyTorch's order of the gates, i f g o, to that of the cell, i f o g.
GATES = (0, 1, 3, 2)


def _packed(blob: Blob) -> Any:
    """A weight matrix with its gates in the cell's order, packed once."""
    return blob.packed("lstm_gates", partial(_pack, blob))


def _pack(blob: Blob) -> Any:
    return pack(_gates_in_order(blob.view()))


def _gates_in_order(values: np.ndarray) -> np.ndarray:
    parts = values.reshape(4, values.shape[0] // 4, *values.shape[1:])
    return np.ascontiguousarray(parts[list(GATES)].reshape(values.shape))


@register("InferenceLSTM")
class InferenceLSTM(Operator):
    """The product with the inputs for all steps at once, that with the state step by step."""

    takes = "float"

    def setup(self) -> None:
        if self.args.num_layers < 1:
            raise ArgumentError(f"argument num_layers must be 1 or more, not {self.args.num_layers}")
        self.directions = 2 if self.args.bidirectional else 1

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        return PythonStep(self.call)

    def call(self, inputs: list[Blob], outputs: list[Blob]) -> None:
        x = inputs[0].view()
        x = np.ascontiguousarray(x.transpose(1, 0, 2)) if self.args.batch_first else x
        h, c = inputs[1].view().copy(), inputs[2].view().copy()
        each = 4 if self.args.has_biases else 2
        for layer in range(self.args.num_layers):
            made = []
            for direction in range(self.directions):
                cell = layer * self.directions + direction
                weights = inputs[3 + cell * each : 3 + (cell + 1) * each]
                made.append(self._run_cell(x, h[cell], c[cell], weights, backwards=direction == 1))
            x = np.concatenate(made, axis=2)
        for blob, value in zip(outputs, (x.transpose(1, 0, 2) if self.args.batch_first else x, h, c)):
            blob.view()[...] = value

    def _run_cell(self, x: np.ndarray, h: np.ndarray, c: np.ndarray, weights: list[Blob], *, backwards: bool) -> Any:
        """States of all steps; h and c become the last ones."""
        steps, batch, width = x.shape
        if not batch:
            return np.empty((steps, batch, h.shape[1]), np.float32)
        from_input, from_state = _packed(weights[0]), _packed(weights[1])
        biases: list[Any] = [_gates_in_order(blob.view()) for blob in weights[2:]] or [None, None]
        gates = gemm(np.ascontiguousarray(x).reshape(-1, width), from_input, biases[0]).reshape(steps, batch, -1)
        made = np.empty((steps, batch, h.shape[1]), np.float32)
        for t in reversed(range(steps)) if backwards else range(steps):
            both = gates[t] + gemm(h, from_state, biases[1])
            py_lstm_unit(h, c, both, None, h, c, 0, False, 0.0)
            made[t] = h
        return made
