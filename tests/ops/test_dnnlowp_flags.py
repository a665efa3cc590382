"""Options of Caffe2's names stand in for arguments of engine DNNLOWP."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from serverquant import core, options, workspace
from serverquant._base.errors import ArgumentError
from serverquant.qparams import Defaults, choose_weight
from serverquant.runtime.options import FLAGS


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    before = {name: getattr(options, name) for name in FLAGS}
    workspace.ResetWorkspace()
    yield
    for name, value in before.items():
        setattr(options, name, value)


def quantized(x: np.ndarray, **args: object) -> object:
    workspace.FeedBlob("X", x)
    workspace.RunOperatorOnce(core.CreateOperator("Quantize", ["X"], ["Y"], engine="DNNLOWP", **args))
    return workspace.FetchInt8Blob("Y")


X = np.linspace(-1, 3, 50, dtype=np.float32)


@pytest.mark.parametrize(("flag", "value", "args"), [
    ("activation_quantization_precision", "5", {"activation_precision": 5}),
    ("preserve_activation_sparsity", "1", {"preserve_activation_sparsity": 1}),
    ("force_scale_power_of_two", "true", {"force_scale_power_of_two": 1}),
])
def test_a_flag_is_the_default_of_an_argument(flag: str, value: str, args: dict[str, int]) -> None:
    plain, want = quantized(X), quantized(X, **args)
    workspace.GlobalInit(["", f"--caffe2_dnnlowp_{flag}={value}"])
    got = quantized(X)
    assert (got.scale, got.zero_point) == (want.scale, want.zero_point) != (plain.scale, plain.zero_point)
    assert np.array_equal(got.data, want.data)


def test_an_argument_outranks_its_flag() -> None:
    want = quantized(X)
    options.caffe2_dnnlowp_activation_quantization_precision = 4
    assert np.array_equal(quantized(X, activation_precision=8).data, want.data)


def test_all_flags_are_taken_as_one_argument_or_two() -> None:
    for name in FLAGS:
        text = {bool: "1", int: "7", float: "0.5", str: "p99"}[type(getattr(options, name))]
        workspace.GlobalInit(["", f"--{name}", text, "--caffe2_log_level=3"])
        assert str(getattr(options, name)) in (text, "True")


def test_values_that_a_flag_cannot_have() -> None:
    with pytest.raises(ArgumentError, match=r'weight_quantization_precision is "many"; it must be a whole number'):
        workspace.GlobalInit(["", "--caffe2_dnnlowp_weight_quantization_precision=many"])
    options.caffe2_dnnlowp_activation_quantization_precision = 12
    with pytest.raises(ArgumentError, match="option caffe2_dnnlowp_activation_quantization_precision is 12"):
        quantized(X)


def test_defaults_reach_kinds_other_than_min_max() -> None:
    weights = np.random.default_rng(0).normal(size=2000).astype(np.float32)
    rounding = Defaults(power_of_two=True)
    assert np.log2(choose_weight(weights, "p99", defaults=rounding).scale) % 1 == 0
    assert choose_weight(weights, "min_max", defaults=rounding) == choose_weight(weights, "min_max")
    narrow = choose_weight(weights, "p99", defaults=Defaults(p99_threshold=0.8))
    assert narrow.scale < choose_weight(weights, "p99").scale
