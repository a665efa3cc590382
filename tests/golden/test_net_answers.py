"""The nets of nets/ give what the real Caffe2 gave: int8 blobs byte for byte, floats closely."""

from __future__ import annotations

import cases
import pytest

import serverquant


@pytest.mark.parametrize(
    "case",
    [pytest.param(c, id=c.name, marks=[pytest.mark.slow] if c.full_size else []) for c in cases.cases()],
)
def test_answers(case: cases.NetCase) -> None:
    with serverquant.load(case.init_path(), case.predict_path, keep_blobs=True) as predict:
        predict(case.inputs())
        wrong = {answer.blob: answer.compare(predict.fetch(answer.blob)) for answer in case.answers()}
    assert {blob: why for blob, why in wrong.items() if why} == {}
