"""Common arguments of DNNLOWP operators."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from serverquant._base.errors import ArgumentError, QuantizationError
from serverquant.ops.dnnlowp.options import ARGS, OUTPUT_ARGS, SIGMOID_INPUT, TANH_INPUT, read_options
from serverquant.qparams import QParams, choose


def options(relu=False, **given):
    args = {arg.name: arg.default for arg in (*ARGS, *OUTPUT_ARGS)}
    assert set(given) <= set(args)
    return read_options(SimpleNamespace(args=SimpleNamespace(**{**args, **given}), given=given.__contains__), relu)


def test_defaults():
    o = options()
    assert (o.activation_precision, o.weight_precision, o.weight_kind, o.output) == (8, 8, "min_max", None)
    assert o.choose_output(-1.0, 2.0) == choose(-1.0, 2.0)


def test_static_output():
    assert options(Y_scale=0.5, Y_zero_point=7).output == QParams(0.5, 7)
    assert options(Y_scale=0.5).output == QParams(0.5, 0)


@pytest.mark.parametrize("how", [{"relu": True}, {"followed_by": "Relu"}])
def test_relu_folds_the_range(how):
    assert options(Y_scale=0.5, Y_zero_point=155, **how).output == choose(0.0, 50.0)
    assert options(**how).choose_output(-3.0, 2.0) == choose(0.0, 2.0)
    assert options(**how).choose_output(-3.0, -2.0) == choose(0.0, 0.0)


def test_tables_outrank_y_scale():
    assert options(Y_scale=0.5, followed_by="Sigmoid").output == SIGMOID_INPUT
    assert options(followed_by="Tanh").output == TANH_INPUT
    assert SIGMOID_INPUT.scale == np.float32(6 / 127)


def test_kinds_have_long_names():
    assert options(weight_quantization_kind="L2_MIN_QUANTIZATION_APPROX").weight_kind == "l2_approx"


@pytest.mark.parametrize(
    ("given", "error", "says"),
    [
        ({"weight_precision": 1}, ArgumentError, "weight_precision"),
        ({"activation_precision": 9}, ArgumentError, "activation_precision"),
        ({"weight_quantization_kind": "best"}, ArgumentError, "min_max, l1"),
        ({"Y_scale": 0.0}, QuantizationError, "Y_scale"),
        ({"Y_scale": float("nan")}, QuantizationError, "Y_scale"),
        ({"Y_scale": 1.0, "Y_zero_point": 256}, QuantizationError, "Y_zero_point"),
    ],
)
def test_refused(given, error, says):
    with pytest.raises(error, match=says):
        options(**given)
