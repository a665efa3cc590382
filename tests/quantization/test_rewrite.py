"""Passes leave the outputs of a float net equal, and change what they say."""

from __future__ import annotations

import numpy as np
import pytest
from small_nets import NETS, conv, nets_of, outputs, random

from serverquant import core
from serverquant._base.errors import QuantizationError
from serverquant.quantization.net import Net, check_float
from serverquant.quantization.rewrite import drop_no_ops, fold_affine, simplify, single_assignment


def same_after(change, pair, **feeds) -> list[str]:
    """Types after the change, whose outputs are as before."""
    net = Net(*pair)
    change(net)
    want, got = outputs(*pair, **feeds), outputs(*net.protos(), **feeds)
    assert list(want) == list(got)
    for name in want:
        np.testing.assert_allclose(got[name], want[name], rtol=1e-4, atol=1e-5 * np.abs(want[name]).max())
    return [op.type for op in net.ops]


X = random(2, 3, 8, 8)
W = random(4, 3, 3, 3, seed=1)
B = random(4, seed=2)
NORM = {"s": random(4, seed=3), "b": random(4, seed=4), "m": random(4, seed=5), "v": np.abs(random(4, seed=6)) + 0.1}


@pytest.mark.parametrize("biases", [("c",), ()])
@pytest.mark.parametrize("order", ["NCHW", "NHWC"])
def test_batch_norm_folds(biases, order):
    bn = core.CreateOperator("SpatialBN", ["h", "s", "b", "m", "v"], ["y"], is_test=1, epsilon=0.01, order=order)
    w, x = (W, X) if order == "NCHW" else (W.transpose(0, 2, 3, 1), X.transpose(0, 2, 3, 1))
    weights = {"w": w, **NORM} | ({"c": B} if biases else {})
    pair = nets_of([conv("x", "h", "w", *biases, order=order), bn], **weights)
    assert same_after(fold_affine.apply, pair, x=x) == ["Conv"]


@pytest.mark.parametrize("shape", [(4, 1, 1), (1, 4, 1, 1), (1,)])
def test_mul_and_add_fold(shape):
    a, s = random(4, seed=7)[: np.prod(shape)].reshape(shape), random(4, seed=8)[: np.prod(shape)].reshape(shape)
    ops = [
        conv("x", "h", "w", "c"),
        core.CreateOperator("Mul", ["h", "a"], ["i"]),
        core.CreateOperator("Add", ["s", "i"], ["j"]),
        core.CreateOperator("Sub", ["j", "s"], ["y"]),
    ]
    assert same_after(fold_affine.apply, nets_of(ops, w=W, c=B, a=a, s=s), x=X) == ["Conv"]


def test_old_broadcasting_and_affine_channel_fold():
    ops = [
        conv("x", "h", "w", "c"),
        core.CreateOperator("Mul", ["h", "s"], ["i"], broadcast=1, axis=1),
        core.CreateOperator("AffineChannel", ["i", "b", "m"], ["y"]),
    ]
    assert same_after(fold_affine.apply, nets_of(ops, w=W, c=B, **NORM), x=X) == ["Conv"]


def test_scales_of_a_fully_connected_layer_fold():
    ops = [
        core.CreateOperator("FC", ["x", "w", "c"], ["h"]),
        core.CreateOperator("Mul", ["h", "s"], ["i"]),
        core.CreateOperator("Add", ["i", "b"], ["y"], broadcast=1),
    ]
    pair = nets_of(ops, w=random(4, 192), c=B, s=NORM["s"], b=NORM["b"])
    assert same_after(fold_affine.apply, pair, x=X) == ["FC"]


def test_what_is_no_scale_by_channel_stays():
    by_column = core.CreateOperator("Mul", ["h", "a"], ["y"])
    assert same_after(fold_affine.apply, nets_of([conv("x", "h", "w"), by_column], w=W, a=random(6)), x=X)[1:] == [
        "Mul"
    ]
    training = core.CreateOperator("Relu", ["h"], ["z"])
    twice = [conv("x", "h", "w"), core.CreateOperator("Mul", ["h", "a"], ["y"]), training]
    kept = same_after(fold_affine.apply, nets_of(twice, outputs=("y", "z"), w=W, a=random(4, 1, 1)), x=X)
    assert kept == ["Conv", "Mul", "Relu"]
    squared = core.CreateOperator("Mul", ["h", "h"], ["y"])
    assert same_after(fold_affine.apply, nets_of([conv("x", "h", "w"), squared], w=W), x=X) == ["Conv", "Mul"]


def test_a_shared_weight_stays_what_it_was():
    ops = [
        conv("x", "h", "w"),
        core.CreateOperator("Mul", ["h", "a"], ["y"]),
        conv("x", "z", "w"),
    ]
    pair = nets_of(ops, outputs=("y", "z"), w=W, a=random(4, 1, 1))
    assert same_after(fold_affine.apply, pair, x=X) == ["Conv", "Conv"]


def test_copies_go():
    ops = [
        core.CreateOperator("Copy", ["x"], ["h"]),
        core.CreateOperator("Relu", ["h"], ["i"]),
        core.CreateOperator("Dropout", ["i"], ["y", "mask"], is_test=1),
        core.CreateOperator("Copy", ["x"], ["z"]),
    ]
    assert same_after(drop_no_ops.apply, nets_of(ops, outputs=("y", "z")), x=X) == ["Relu", "Copy"]


def test_values_in_place_get_names():
    ops = [
        core.CreateOperator("Relu", ["x"], ["x"]),
        core.CreateOperator("Relu", ["x"], ["x"]),
        conv("x", "y", "w"),
        core.CreateOperator("Negative", ["y"], ["y"]),
    ]
    pair = nets_of(ops, w=W)
    net = Net(*pair)
    assert single_assignment.apply(net) == 3
    assert len({name for op in net.ops for name in op.output} | {"x"}) == 5
    same_after(single_assignment.apply, pair, x=X)
    with pytest.raises(QuantizationError, match="overwrites its input"):
        single_assignment.apply(Net(*nets_of(ops[:2], outputs=("x",), w=W)))


@pytest.mark.parametrize("name", ["resnet_eighth_bn", "densenet_tiny", "squeezenet_tiny", "mobilenet_v2_quarter"])
def test_nets_stay_equal(name):
    pair = NETS / name / "init_net.pb", NETS / name / "predict_net.pb"
    types = same_after(simplify, pair, **{k: v[:2] for k, v in np.load(NETS / name / "inputs.npz").items()})
    assert name != "resnet_eighth_bn" or "SpatialBN" not in types


def test_an_int8_net_is_refused():
    pair = NETS / "digits24_int8_fixed" / "init_net.pb", NETS / "digits24_int8_fixed" / "predict_net.pb"
    with pytest.raises(QuantizationError, match="quantized already: it has Int8Quantize DNNLOWP"):
        check_float(Net(*pair))
