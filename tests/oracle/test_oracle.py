"""Against the real Caffe2, run beside us: `make test-oracle`; benchmarks/peers/setup_oracle.py makes `.venv-oracle`.

Two questions: does the Caffe2 on this machine still give the answers that the corpus keeps, and do we agree with it on
inputs that the corpus does not hold? The new inputs are the old ones in another order, so that ranges stay the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import corpus
import numpy as np
import pytest
import run
from peers import real_caffe2

pytestmark = pytest.mark.oracle


def has_strings(case: corpus.Case) -> bool:
    """Strings do not travel to the other process."""
    return any(isinstance(value, list) for step in case.steps() for side in step for value in side.values())


def vnni() -> bool:
    return "avx512_vnni" in open("/proc/cpuinfo").read()


# In these the columns of matrices mean something: images that boxes belong to, corners, sizes.
BOXES = ("roi_align", "mobile_roi_align", "fpn_proposals", "bbox_transform")
CASES = [case for case in run.chosen() if not case.error and not has_strings(case)]
# Without VNNI Caffe2 saturates sums of two products; where that can happen the corpus has the exact answer.
TRUSTED = [case for case in CASES if vnni() or case.flags.get("pair_safe", "dnnlowp" not in case.family)]


class Oracle:
    """A Caffe2 process that is started again after a crash."""

    def __init__(self) -> None:
        self.process: real_caffe2.Caffe2 | None = None

    def run(self, case: corpus.Case) -> list[dict[str, corpus.Value]]:
        """Caffe2's outputs of every step."""
        self.process = self.process or real_caffe2.Caffe2(1)
        try:
            return self._run(self.process, case)
        except RuntimeError:
            self.close()
            raise

    def _run(self, caffe2: real_caffe2.Caffe2, case: corpus.Case) -> list[dict[str, corpus.Value]]:
        caffe2.reset()
        if case.init:
            caffe2.init(case.init)
        outputs = []
        for number, step in enumerate(case.steps()):
            caffe2.feed({name: as_fed(value) for name, value in step.inputs.items()})
            if number == 0:
                caffe2.create(case.net)
            caffe2.run(1)
            fetched = caffe2.fetch(list(step.outputs))
            outputs.append({name: as_kept(value) for name, value in fetched.items()})
        return outputs

    def close(self) -> None:
        if self.process:
            self.process.close()
        self.process = None


def as_fed(value: corpus.Value) -> Any:
    return tuple(value) if isinstance(value, corpus.Int8) else value


def as_kept(value: Any) -> corpus.Value:
    return corpus.Int8(*value) if isinstance(value, tuple) else value


@pytest.fixture(scope="module")
def oracle() -> Iterator[Oracle]:
    caffe2 = Oracle()
    yield caffe2
    caffe2.close()


def shuffled(case: corpus.Case, seed: int) -> corpus.Case:
    """The case with the elements of every float and uint8 input in another order; its answers no longer hold."""
    rng = np.random.default_rng(seed)

    def shuffle(value: np.ndarray) -> np.ndarray:
        moved = value.dtype in (np.float32, np.uint8)  # others are shapes, indices or biases
        moved = moved and not (case.family in BOXES and value.ndim == 2)
        return rng.permutation(value.ravel()).reshape(value.shape) if moved else value

    def change(value: corpus.Value) -> corpus.Value:
        if isinstance(value, corpus.Int8):
            return value._replace(data=shuffle(value.data))
        return shuffle(value) if isinstance(value, np.ndarray) else value

    steps = [corpus.Step({k: change(v) for k, v in s.inputs.items()}, s.outputs) for s in case.steps()]
    return case.with_steps(steps)


@pytest.mark.parametrize("case", TRUSTED, ids=lambda case: case.id)
def test_corpus_holds(case: corpus.Case, oracle: Oracle) -> None:
    assert not run.difference(case, oracle.run(case))


@pytest.mark.parametrize("case", TRUSTED, ids=lambda case: case.id)
def test_new_inputs(case: corpus.Case, oracle: Oracle) -> None:
    case = shuffled(case, 5)
    for want, got in zip(oracle.run(case), run.run_steps(case), strict=True):
        for name, value in want.items():
            assert not corpus.compare(value, got[name], case.compare[name]), name
