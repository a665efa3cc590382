"""The nets' files are whole, and their answers accept and refuse what they should."""

from __future__ import annotations

import hashlib

import cases
import corpus
import numpy as np
import pytest


def test_all_are_there() -> None:
    assert len(cases.cases()) == 27
    assert len(cases.cases(full_size=True)) == 6


@pytest.mark.parametrize("case", cases.cases(full_size=False), ids=lambda case: case.name)
def test_init_net(case: cases.NetCase) -> None:
    init = case.init_path().read_bytes()
    assert hashlib.sha256(init).hexdigest() == case.info["init_net"]["sha256"]


@pytest.mark.parametrize("case", cases.cases(), ids=lambda case: case.name)
def test_inputs_and_answers(case: cases.NetCase) -> None:
    assert case.inputs()
    for answer in case.answers():
        assert answer.values.size == -(-int(np.prod(answer.shape)) // answer.every)
        if answer.every == 1:
            assert hashlib.sha256(answer.values.tobytes()).hexdigest() == answer.sha256


def test_recipe_comes_out_the_same() -> None:
    assert cases.case("mobilenet_v2_recipe_int8_fixed").init_path().exists()  # written() compares the sha256


@pytest.mark.parametrize("byte", [None, 0, 1000])
def test_compare_bytes(byte: int | None) -> None:
    answer = next(a for a in cases.case("resnet_eighth_int8_fixed").answers() if a.scale is not None)
    assert answer.scale is not None
    assert answer.zero_point is not None
    data = answer.values.copy()
    if byte is not None:
        data.ravel()[byte] ^= 1
    got = corpus.Int8(data, answer.scale, answer.zero_point)
    assert (answer.compare(got) == "") == (byte is None)
    assert answer.compare(got._replace(zero_point=answer.zero_point + 1))
    assert answer.compare(got._replace(scale=np.nextafter(answer.scale, np.float32(1))))
    assert answer.compare(data)


def test_compare_floats_and_first_images() -> None:
    answer = next(a for a in cases.case("digits24").answers() if a.first == 4)
    whole = np.concatenate([answer.values, np.zeros((2, *answer.shape[1:]), np.float32)])
    assert not answer.compare(whole)
    assert not answer.compare(whole * np.float32(1.00001))
    assert answer.compare(whole * np.float32(1.01))
    assert answer.compare(whole.astype(np.float64))
