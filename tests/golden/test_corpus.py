"""The judge is judged: the corpus is whole, and its compare accepts and refuses what it should."""

from __future__ import annotations

import corpus
import numpy as np
import pytest


def test_every_case_is_there() -> None:
    cases = list(corpus.cases())
    assert len(cases) == len({case.id for case in cases}) == 3955
    assert sum(case.error is not None for case in cases) == 30


def test_every_answer_agrees_with_itself() -> None:
    for case in corpus.cases():
        assert not case.error or not any(step.outputs for step in case.steps())
        for step in case.steps():
            for name, want in step.outputs.items():
                assert not corpus.compare(want, want, case.compare[name]), case


FLOATS = np.array([1.0, np.nan, -0.0], np.float32)
BYTES = corpus.Int8(np.array([3, 200], np.uint8), np.float32(0.5), 7)
EXACT, LSB, CLOSE = {"mode": "exact"}, {"mode": "lsb", "tol": 1}, {"mode": "close", "rtol": 1e-3, "atol": 0.0}


@pytest.mark.parametrize(("want", "got", "spec", "agrees"), [
    (FLOATS, np.array([1.0, np.nan, 0.0], np.float32), EXACT, True),
    (FLOATS, np.array([1.0000001, np.nan, 0.0], np.float32), EXACT, False),
    (FLOATS, np.array([1.0001, np.nan, 0.0], np.float32), CLOSE, True),
    (FLOATS, np.array([1.01, np.nan, 0.0], np.float32), CLOSE, False),
    (FLOATS, np.array([1.0, 1.0, 0.0], np.float32), CLOSE, False),
    (FLOATS, FLOATS.astype(np.float64), EXACT, False),
    (FLOATS, FLOATS.reshape(1, 3), EXACT, False),
    (FLOATS, FLOATS + 5, {"mode": "shape"}, True),
    (BYTES, BYTES._replace(data=np.array([3, 201], np.uint8)), EXACT, False),
    (BYTES, BYTES._replace(data=np.array([3, 201], np.uint8)), LSB, True),
    (BYTES, BYTES._replace(data=np.array([3, 202], np.uint8)), LSB, False),
    (BYTES, BYTES._replace(scale=np.float32(0.500001)), LSB, True),
    (BYTES, BYTES._replace(scale=np.float32(0.500001)), EXACT, False),
    (BYTES, BYTES._replace(zero_point=9), LSB, False),
    (BYTES, BYTES.data, EXACT, False),
    (BYTES.data, BYTES, EXACT, False),
    ([b"a", b"\xff"], [b"a", b"\xff"], EXACT, True),
    ([b"a", b"b"], ["a", "b"], EXACT, True),
    ([b"a", b"b"], [b"a"], EXACT, False),
])
def test_compare(want: corpus.Value, got: object, spec: dict[str, object], agrees: bool) -> None:
    assert (corpus.compare(want, got, spec) == "") == agrees
