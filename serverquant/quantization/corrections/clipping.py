"""Weight clipping search: of many scales, that whose rounded and cut off weights are nearest to the weights.

    E(s) = sum (s q(w / s) - w)^2,    q(v) = clamp(round(v), -128, 127),    s = t max |w| / 127

A smaller scale rounds the many small weights more finely and cuts off the few large ones. E has many small minima, so
t goes through all steps from 1 down to LEAST. The kinds `l1` and `l2` search a histogram instead, whose values within a
bin count as spread evenly: of a layer of few weights that says little.
"""

from __future__ import annotations

import numpy as np

from serverquant.qparams import QParams, choose, dequantize, quantize

LEAST, STEPS = 0.6, 40


def search(value: np.ndarray, bits: int = 8) -> QParams:
    """Unsigned parameters, zero point 2^(bits - 1), of weights of any shape; among equal errors those of the largest
    scale."""
    most = float(np.abs(value).max(initial=0.0))
    tried = [choose(-t * most, t * most, bits, symmetric=True) for t in np.linspace(1.0, LEAST, STEPS + 1)]
    return min(tried, key=lambda params: _error(value, params))


def _error(value: np.ndarray, params: QParams) -> float:
    return float(np.square(np.float64(dequantize(quantize(value, params), params)) - value).sum())
