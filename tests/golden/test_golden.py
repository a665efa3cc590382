"""Every golden case agrees with Caffe2, and is the same bytes on every instruction set and thread count.

The second is asked of a seeded tenth of the cases, or of all with SERVERQUANT_MATRIX=1 (`make test-matrix`).
"""

from __future__ import annotations

import functools
import os

import corpus
import numpy as np
import pytest
import run

from serverquant._base import _isa, _threads
from serverquant.qparams import choose, find_min_max, quantize, quantize_bias
from serverquant.runtime.options import options

EVERY = 1 if os.environ.get("SERVERQUANT_MATRIX") == "1" else 10


@pytest.fixture(autouse=True)
def restore():
    """Leave instruction set and threads as they were."""
    level, threads = _isa.current(), _threads.get_num_threads()
    yield
    _isa.set_level(level)
    _threads.set_num_threads(threads)
    _threads.force_teams(False)


@pytest.mark.parametrize("case", run.chosen(), ids=lambda case: case.id)
def test_agrees_with_caffe2(case: corpus.Case) -> None:
    _threads.set_num_threads(1)
    assert not run.run(case).wrong


@functools.cache
def best_digests() -> dict[str, str]:
    """Of these cases, on this machine's best instruction set with one thread."""
    _isa.set_level(_isa.detected())
    return {name: outcome.digest for name, outcome in run.run_all(run.chosen(every=EVERY), 1).items()}


@pytest.mark.parametrize("threads", [1, 2, 3, 7])
@pytest.mark.parametrize("isa", _isa.supported())
def test_same_bytes_everywhere(isa: str, threads: int) -> None:
    want = best_digests()
    _isa.set_level(isa)
    outcomes = run.run_all(run.chosen(every=EVERY), threads)
    if _threads.openmp_version():
        assert _threads.get_num_threads() == threads
    assert {name: outcome.digest for name, outcome in outcomes.items()} == want


def test_depthwise_sums(monkeypatch: pytest.MonkeyPatch) -> None:
    """Caffe2's answer follows from saturated pairs of taps, and ours too; with its defects fixed from exact sums."""
    case = corpus.case("conv_float_weight_024")
    step = case.steps()[0]
    x, w, b, want = step.inputs["X"], step.inputs["W"], step.inputs["B"], step.outputs["Y"]
    params = choose(*find_min_max(w)).to_signed()
    kernel = quantize(w, params).astype(np.int64)[..., 0]
    padded = np.pad(x.data.astype(np.int64), [(0, 0), (1, 1), (1, 1), (0, 0)], constant_values=x.zero_point)
    rows, columns = x.data.shape[1:3]
    seen = [padded[:, i : i + rows, j : j + columns] for i in range(3) for j in range(3)]
    taps = kernel.reshape(len(kernel), 9).T
    products = [a * t for a, t in zip(seen, taps)] + [np.zeros_like(seen[0])]
    pairs = [np.clip(products[i] + products[i + 1], -(1 << 15), (1 << 15) - 1) for i in range(0, 10, 2)]
    sum_scale = np.float32(x.scale) * np.float32(params.scale)
    offset = -x.zero_point * taps.sum(axis=0) - params.zero_point * sum(seen) + 9 * x.zero_point * params.zero_point
    offset = offset + quantize_bias(b, float(sum_scale))

    def requantized(sums: np.ndarray) -> np.ndarray:
        scaled = (sums + offset).astype(np.float32) * (sum_scale / np.float32(want.scale))
        return np.clip(np.rint(scaled) + want.zero_point, 0, 255).astype(np.uint8)

    np.testing.assert_array_equal(requantized(sum(pairs)), want.data)
    monkeypatch.setattr(options, "caffe2_defects", "fix")
    np.testing.assert_array_equal(run.run_steps(case)[0]["Y"].data, requantized(sum(products)))
