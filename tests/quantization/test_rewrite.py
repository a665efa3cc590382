"""Passes leave the outputs of a float net equal, and change what they say."""

from __future__ import annotations

import numpy as np
import pytest
from small_nets import NETS, conv, nets_of, outputs, random

from serverquant import core
from serverquant._base.errors import QuantizationError
from serverquant.quantization.net import Net, check_float
from serverquant.quantization.rewrite import (
    drop_no_ops,
    fold_affine,
    fold_ahead,
    layers_as_fc,
    merge_affine,
    simplify,
    single_assignment,
    swap_relu,
)


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


def test_joins_of_one_go():
    ops = [
        core.CreateOperator("Concat", ["x"], ["h", "sizes"], axis=1),
        core.CreateOperator("Sum", ["h"], ["i"]),
        core.CreateOperator("Relu", ["i"], ["y"]),
    ]
    assert same_after(drop_no_ops.apply, nets_of(ops), x=X) == ["Relu"]
    assert same_after(drop_no_ops.apply, nets_of(ops, outputs=("y", "sizes")), x=X) == ["Concat", "Relu"]
    new_axis = core.CreateOperator("Concat", ["x"], ["y", "sizes"], axis=1, add_axis=1)
    assert same_after(drop_no_ops.apply, nets_of([new_axis]), x=X) == ["Concat"]


# ---- layers_as_fc ---------------------------------------------------------------------------------------------------

ROWS, SQUARE = random(5, 6, seed=20), random(6, 6, seed=21)


@pytest.mark.parametrize(
    ("op", "x"),
    [
        (core.CreateOperator("FCTransposed", ["x", "w", "b"], ["y"]), ROWS),
        (core.CreateOperator("MatMul", ["x", "w"], ["y"]), ROWS),
        (core.CreateOperator("MatMul", ["x", "w"], ["y"], trans_b=1), ROWS),
        (core.CreateOperator("BatchMatMul", ["x", "w"], ["y"]), ROWS),
        (core.CreateOperator("BatchMatMul", ["x", "w"], ["y"], trans_b=1, broadcast=1), random(2, 5, 6)),
    ],
)
def test_products_with_a_matrix_become_fc(op, x):
    weights = {"w": SQUARE} | ({"b": random(6)} if len(op.input) == 3 else {})
    assert same_after(layers_as_fc.apply, nets_of([op], **weights), x=x) == ["FC"]


def test_other_products_stay():
    for args in ({"trans_a": 1}, {"axis_a": 2, "axis_b": 1}):
        op = core.CreateOperator("MatMul", ["x", "w"], ["y"], **args)
        x = ROWS.T if "trans_a" in args else random(2, 5, 6)
        assert same_after(layers_as_fc.apply, nets_of([op], w=SQUARE), x=x) == ["MatMul"]
    left = core.CreateOperator("BatchMatMul", ["w", "x"], ["y"])
    assert same_after(layers_as_fc.apply, nets_of([left], w=SQUARE), x=random(6, 3)) == ["BatchMatMul"]


# ---- fold_ahead -----------------------------------------------------------------------------------------------------

BEFORE = {"s": random(6, seed=3), "b": random(6, seed=4), "m": random(6, seed=5), "v": np.abs(random(6, seed=6)) + 0.1}
SIX = random(2, 6, 8, 8)


@pytest.mark.parametrize("biases", [("c",), ()])
@pytest.mark.parametrize("group", [1, 2])
@pytest.mark.parametrize("order", ["NCHW", "NHWC"])
def test_batch_norm_folds_into_the_layer_behind(biases, group, order):
    bn = core.CreateOperator("SpatialBN", ["x", "s", "b", "m", "v"], ["h"], is_test=1, order=order)
    layer = conv("h", "y", "w", *biases, order=order, group=group)
    w, x = random(4, 6 // group, 3, 3, seed=1), SIX
    if order == "NHWC":
        w, x = w.transpose(0, 2, 3, 1), x.transpose(0, 2, 3, 1)
    weights = {"w": w, **BEFORE} | ({"c": B} if biases else {})
    assert same_after(fold_ahead.apply, nets_of([bn, layer], **weights), x=x) == ["Conv"]


def test_a_shift_does_not_fold_through_padding():
    w = random(4, 6, 3, 3, seed=1)
    shift = core.CreateOperator("AffineChannel", ["x", "s", "b"], ["h"])
    for pads in ({"pad": 1}, {"pads": [0, 0, 1, 0]}, {"pad_t": 1, "pad_l": 0, "pad_b": 0, "pad_r": 0}):
        pair = nets_of([shift, conv("h", "y", "w", **pads)], w=w, s=BEFORE["s"], b=BEFORE["b"])
        assert same_after(fold_ahead.apply, pair, x=SIX) == ["AffineChannel", "Conv"]
    scale = core.CreateOperator("Mul", ["x", "s"], ["h"], broadcast=1, axis=1)
    pair = nets_of([scale, conv("h", "y", "w", pad=1)], w=w, s=BEFORE["s"])
    assert same_after(fold_ahead.apply, pair, x=SIX) == ["Conv"]


def test_columns_fold_into_fc():
    ops = [
        core.CreateOperator("Sub", ["x", "m"], ["h"]),
        core.CreateOperator("Mul", ["h", "s"], ["i"]),
        core.CreateOperator("FC", ["i", "w", "c"], ["y"]),
    ]
    pair = nets_of(ops, w=SQUARE, c=random(6), m=BEFORE["m"], s=BEFORE["s"])
    assert same_after(fold_ahead.apply, pair, x=ROWS) == ["FC"]


def test_what_others_read_too_is_not_folded_ahead():
    scale = core.CreateOperator("AffineChannel", ["x", "s", "b"], ["h"])
    ops = [scale, conv("h", "y", "w"), conv("h", "z", "w")]
    pair = nets_of(ops, outputs=("y", "z"), w=random(4, 6, 3, 3), s=BEFORE["s"], b=BEFORE["b"])
    assert same_after(fold_ahead.apply, pair, x=SIX) == ["AffineChannel", "Conv", "Conv"]


# ---- merge_affine ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["NCHW", "NHWC"])
def test_scales_behind_each_other_become_one(order):
    x = SIX if order == "NCHW" else SIX.transpose(0, 2, 3, 1)
    ops = [
        core.CreateOperator("SpatialBN", ["x", "s", "b", "m", "v"], ["h"], is_test=1, order=order),
        core.CreateOperator("AffineChannel", ["h", "m", "s"], ["i"], order=order),
        core.CreateOperator("SpatialBN", ["i", "s", "b", "m", "v"], ["y"], is_test=1, order=order),
    ]
    assert same_after(merge_affine.apply, nets_of(ops, **BEFORE), x=x) == ["SpatialBN"]


def test_factors_merge_where_the_dimensions_are_known():
    """A constant of (4, 1, 1) means channels only if there are four dimensions."""
    norm = core.CreateOperator("SpatialBN", ["h", "s", "b", "m", "v"], ["i"], is_test=1)
    ops = [
        norm,
        core.CreateOperator("Mul", ["i", "f"], ["j"]),
        core.CreateOperator("Add", ["j", "g"], ["y"], broadcast=1, axis=1),
    ]
    weights = {**NORM, "f": random(4, 1, 1), "g": random(4)}
    layers = [conv("x", "g1", "w"), core.CreateOperator("Relu", ["g1"], ["h"])]
    pair = nets_of([*layers, *ops], w=W, **weights)
    assert same_after(merge_affine.apply, pair, x=X) == ["Conv", "Relu", "SpatialBN"]
    relu = core.CreateOperator("Relu", ["x"], ["h"])
    for x in (random(2, 4, 5, 5), random(2, 4, 4, 4, 5)):
        unknown = nets_of([relu, *ops], **weights)
        assert same_after(merge_affine.apply, unknown, x=x) == ["Relu", "SpatialBN", "Mul", "Add"]


# ---- swap_relu ------------------------------------------------------------------------------------------------------

CLIP = {"min": 0.0, "max": 0.5}


@pytest.mark.parametrize(("type", "args"), [("Relu", {}), ("Clip", CLIP), ("ReluN", {"n": 0.5})])
def test_activations_move_before_joins_and_maxima(type, args):
    ops = [
        conv("x", "h", "w"),
        conv("x", "i", "w"),
        core.CreateOperator("Concat", ["h", "i"], ["j", "sizes"], axis=1),
        core.CreateOperator("MaxPool", ["j"], ["k"], kernel=2),
        core.CreateOperator(type, ["k"], ["y"], **args),
    ]
    kinds = ["Conv", "Conv", type, type, "Concat", "MaxPool"]
    assert same_after(swap_relu.apply, nets_of(ops, w=W), x=X) == kinds


def test_activations_that_are_there_are_not_repeated():
    def net(first, second):
        return nets_of(
            [
                conv("x", "h", "w"),
                core.CreateOperator(first[0], ["h"], ["i"], **first[1]),
                core.CreateOperator("MaxPool", ["i"], ["j"], kernel=2),
                core.CreateOperator(second[0], ["j"], ["y"], **second[1]),
            ],
            w=W,
        )

    clip, relu = ("Clip", CLIP), ("Relu", {})
    assert same_after(swap_relu.apply, net(clip, relu), x=X) == ["Conv", "Clip", "MaxPool"]
    assert same_after(swap_relu.apply, net(relu, clip), x=X) == ["Conv", "Relu", "MaxPool", "Clip"]


def test_activations_stay_where_moving_them_costs():
    relu = core.CreateOperator("Relu", ["j"], ["y"])
    join = core.CreateOperator("Concat", ["h", "x"], ["j", "sizes"], axis=1)
    assert same_after(swap_relu.apply, nets_of([conv("x", "h", "w", pad=1), join, relu], w=W), x=X)[-1] == "Relu"
    pool = core.CreateOperator("MaxPool", ["h"], ["j"], kernel=1)
    both = nets_of([conv("x", "h", "w"), pool, relu], outputs=("y", "h"), w=W)
    assert same_after(swap_relu.apply, both, x=X) == ["Conv", "MaxPool", "Relu"]


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
