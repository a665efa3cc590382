"""Float normalisations against plain numpy, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest
from ops.nets import bind, run
from reference import layers as want

from serverquant._base.errors import ArgumentError, DTypeError, NetError, ShapeError
from serverquant.runtime.workspace import Workspace

RNG = np.random.default_rng(9)
EPSILON = 1e-3


def floats(*shape, mean=0.0):
    return (RNG.standard_normal(shape) + mean).astype(np.float32)


def last(x):
    return np.ascontiguousarray(np.moveaxis(x, 1, -1))


def close(got, expected, rtol=2e-5):
    np.testing.assert_allclose(got, expected, rtol=rtol, atol=rtol * np.abs(expected).max(initial=1e-3))


def normal(x, axes, epsilon=EPSILON):
    """(normalised, mean, deviation) over some axes, in double."""
    x = x.astype(np.float64)
    mean, deviation = x.mean(axes, keepdims=True), np.sqrt(x.var(axes, keepdims=True) + epsilon)
    return (x - mean) / deviation, mean, deviation


SHAPES = [(2, 6, 5, 7), (3, 6, 40), (1, 6, 2, 3, 4), (2, 6), (4, 12, 33, 40)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("group", [1, 3, 6])
def test_group_norm(shape, group):
    x, gamma, beta = floats(*shape, mean=0.5), floats(shape[1]), floats(shape[1])
    y, mean, deviation = normal(x.reshape(shape[0], group, -1), (2,))
    spread = (-1, *[1] * (len(shape) - 2))
    expected = y.reshape(shape) * gamma.reshape(spread) + beta.reshape(spread)
    args = {"group": group, "epsilon": EPSILON}
    feeds = {"gamma": gamma, "beta": beta}
    got = run("GroupNorm", {"X": x, **feeds}, ("Y", "mu", "rsig"), **args)
    close(got[0], expected)
    close(got[1], mean[..., 0])
    close(got[2], 1 / deviation[..., 0])
    close(run("GroupNorm", {"X": last(x), **feeds}, order="NHWC", **args), last(expected))


@pytest.mark.parametrize("order", ["NCHW", "NHWC"])
def test_instance_norm(order):
    x, scale, bias = floats(2, 3, 6, 5), floats(3), floats(3)
    y, mean, deviation = normal(x, (2, 3))
    expected = y * scale[:, None, None] + bias[:, None, None]
    image = x if order == "NCHW" else last(x)
    feeds = {"X": image, "scale": scale, "bias": bias}
    got = run("InstanceNorm", feeds, ("Y", "mean", "rstd"), order=order, epsilon=EPSILON)
    close(got[0], expected if order == "NCHW" else last(expected))
    close(got[1], mean[..., 0, 0])
    close(got[2], 1 / deviation[..., 0, 0])
    assert run("InstanceNorm", feeds, ("X",), order=order, epsilon=EPSILON).tobytes() == got[0].tobytes()


def test_a_far_mean_costs_no_digits():
    """Distances from the mean are squared, not the values."""
    x = floats(1, 2, 50, 50, mean=1000)
    feeds = {"X": x, "scale": np.ones(2, np.float32), "bias": np.zeros(2, np.float32)}
    deviation = 1 / run("InstanceNorm", feeds, ("Y", "mean", "rstd"))[2]
    np.testing.assert_allclose(deviation[0], x.astype(np.float64).std((0, 2, 3)), rtol=1e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_layer_norm(axis, dtype):
    x = floats(3, 5, 8).astype(dtype)
    inner = x.shape[axis:]
    gamma, beta = floats(*inner).astype(dtype), floats(*inner).astype(dtype)
    y, mean, deviation = normal(x.reshape(*x.shape[:axis], -1) if axis else x.reshape(1, -1), (-1,))
    outputs = ("Y", "mean", "sigma")
    plain = run("LayerNorm", {"X": x}, outputs, axis=axis, epsilon=EPSILON)
    assert {a.dtype.type for a in plain} == {dtype}
    close(plain[0], y.reshape(x.shape))
    close(plain[1], mean.reshape(*x.shape[:axis], 1))
    close(plain[2], deviation.reshape(*x.shape[:axis], 1))
    feeds = {"X": x, "gamma": gamma, "beta": beta}
    affine = run("LayerNorm", feeds, outputs, axis=axis, epsilon=EPSILON, elementwise_affine=1)
    close(affine[0], y.reshape(x.shape) * gamma + beta)
    assert run("LayerNorm", feeds, outputs, axis=axis, epsilon=EPSILON)[0].tobytes() == plain[0].tobytes()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rms_norm(dtype):
    x, gamma, beta = floats(4, 3, 7).astype(dtype), floats(3, 7).astype(dtype), floats(3, 7).astype(dtype)
    y, root = run("RMSNorm", {"X": x, "gamma": gamma, "beta": beta}, ("Y", "root"), eps=0.1)
    expected = 1 / np.sqrt(np.square(x.astype(np.float64)).mean((1, 2)) + 0.1)
    close(root, expected)
    close(y, x * expected[:, None, None] * gamma + beta)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7])
@pytest.mark.parametrize("beta", [0.5, 0.75, 1.0, 0.3])
def test_lrn(size, beta):
    x = floats(2, 70, 5, 3)
    y, scale = want.local_response(x, size, 0.1, beta, 2.0)
    args = {"size": size, "alpha": 0.1, "beta": beta, "bias": 2.0}
    got = run("LRN", {"X": x}, ("Y", "scale"), **args)
    close(got[0], y)
    close(got[1], scale)
    close(run("LRN", {"X": last(x)}, order="NHWC", **args), last(y))


def training(x, order="NCHW", momentum=0.9, **args):
    """Feeds, and outputs of SpatialBN in training."""
    channels = x.shape[1]
    feeds = {"X": x if order == "NCHW" else last(x), "scale": floats(channels), "bias": floats(channels)}
    feeds |= {"mean": floats(channels), "var": np.abs(floats(channels))}
    outputs = ("Y", "mean", "var", "saved_mean", "saved_rstd")
    return feeds, run("SpatialBN", feeds, outputs, is_test=0, order=order, momentum=momentum, epsilon=EPSILON, **args)


@pytest.mark.parametrize("order", ["NCHW", "NHWC"])
def test_spatial_bn_in_training(order):
    x = floats(3, 5, 4, 6, mean=2)
    feeds, (y, mean, var, saved_mean, saved_rstd) = training(x, order, 0.7)
    normalised, batch_mean, deviation = normal(x, (0, 2, 3))
    expected = normalised * feeds["scale"][:, None, None] + feeds["bias"][:, None, None]
    close(y, expected if order == "NCHW" else last(expected))
    close(saved_mean, batch_mean.ravel())
    close(saved_rstd, 1 / deviation.ravel())
    close(mean, 0.7 * feeds["mean"] + 0.3 * batch_mean.ravel())
    close(var, 0.7 * feeds["var"] + 0.3 * x.astype(np.float64).var((0, 2, 3), ddof=1))


def test_spatial_bn_over_several_batches():
    """Two batches like x: their sums give x's own statistics."""
    x = floats(2, 3, 4, 4)
    sums = {"sum": 2 * x.sum((0, 2, 3)), "sumsq": 2 * np.square(x).sum((0, 2, 3))}
    feeds = {"X": x, "scale": np.ones(3, np.float32), "bias": np.zeros(3, np.float32)}
    feeds |= {"mean": floats(3), "var": floats(3), **sums}
    y = run("SpatialBN", feeds, ("Y", "mean", "var", "m", "r"), is_test=0, num_batches=2, epsilon=EPSILON)[0]
    close(y, normal(x, (0, 2, 3))[0], 1e-4)


def test_spatial_bn_of_nothing():
    feeds, (y, mean, var, saved_mean, saved_rstd) = training(floats(0, 3, 2, 2))
    assert y.shape == (0, 3, 2, 2)
    assert mean.tolist() == feeds["mean"].tolist()
    assert var.tolist() == feeds["var"].tolist()
    assert saved_mean.tolist() == saved_rstd.tolist() == [0, 0, 0]


def test_moments():
    x = floats(3, 4, 5)
    for axes in ((0, 2), (1,), (0, 1, 2), ()):
        reduced = axes or (0, 1, 2)
        args = {"axes": axes} if axes else {}
        mean, var = run("Moments", {"X": x}, ("mean", "var"), **args)
        close(mean, x.mean(reduced, keepdims=True))
        close(var, x.var(reduced, keepdims=True))
        assert run("Moments", {"X": x}, ("m", "v"), axes=reduced, keepdims=0)[0].shape == x.mean(reduced).shape


def test_channel_moments():
    x = floats(3, 4, 5, 2)
    for order, image in (("NCHW", x), ("NHWC", last(x))):
        total, squares = run("ChannelStats", {"X": image}, ("s", "q"), order=order)
        close(total, x.sum((0, 2, 3)))
        close(squares, np.square(x).sum((0, 2, 3)))
        mean, mean_square = run("BatchMoments", {"X": image}, ("s", "q"), order=order)
        close(mean, x.mean((0, 2, 3)))
        close(mean_square, np.square(x).mean((0, 2, 3)))


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_normalize(axis):
    x = floats(3, 4, 5)
    x[:, 0] = x[0, :] = 0
    close(run("Normalize", {"X": x}, axis=axis), x / np.maximum(np.linalg.norm(x, axis=axis, keepdims=True), 1e-12))
    sums = np.abs(x).sum(axis, keepdims=True)
    close(run("NormalizeL1", {"X": x}, axis=axis), x / np.where(sums == 0, 1, sums))


def test_lp_norm():
    x = floats(3, 4)
    close(run("LpNorm", {"X": x}), np.square(x).sum(keepdims=True).ravel())
    close(run("LpNorm", {"X": x}, p=1, average=1), np.abs(x).mean(keepdims=True).ravel())


def test_dropout():
    x = np.ones((100, 100), np.float32)
    np.random.seed(3)
    y, mask = run("Dropout", {"X": x}, ("Y", "mask"), is_test=0, ratio=0.2)
    assert set(np.unique(y)) == {0, np.float32(1.25)}
    assert (y != 0).tolist() == mask.tolist()
    assert 0.77 < mask.mean() < 0.83
    y, mask = run("Dropout", {"X": x}, ("Y", "mask"), is_test=1, ratio=0.2)
    assert y.tobytes() == x.tobytes()
    assert mask.all()


@pytest.mark.parametrize("op_type", ["GroupNorm", "InstanceNorm"])
def test_new_batches(op_type):
    space = Workspace()
    args = {"group": 2} if op_type == "GroupNorm" else {}
    feeds = {"X": floats(2, 4, 5), "gamma": floats(4), "beta": floats(4)}
    net = bind(space, op_type, feeds, ("Y", "mean", "rstd"), **args)
    for batch in (2, 3, 0, 1):
        x = floats(batch, 4, 5)
        space.get("X").feed(x)
        net.run()
        assert space.fetch("Y").tobytes() == run(op_type, feeds | {"X": x}, **args).tobytes()
        assert space.fetch("mean").shape[0] == batch


X, C = np.zeros((2, 4, 3), np.float32), np.zeros(4, np.float32)
FIVE = ("Y", "mean", "var", "m", "r")


@pytest.mark.parametrize(
    ("op_type", "inputs", "outputs", "args", "error", "words"),
    [
        ("GroupNorm", (X, C, C), ("Y",), {"group": 3}, ShapeError, "do not divide into 3 groups"),
        ("GroupNorm", (X, C, C), ("Y",), {"group": 0}, ArgumentError, "group must be 1 or more"),
        ("GroupNorm", (X, C, C), ("Y",), {"group": 2, "is_test": 0}, ArgumentError, "1 or 3 outputs"),
        ("GroupNorm", (X, C, C[:3]), ("Y",), {"group": 2}, ShapeError, "one value for each of the 4 channels"),
        ("InstanceNorm", (X, C, C), ("Y",), {"epsilon": -1.0}, ArgumentError, "must not be negative"),
        ("InstanceNorm", (X, C, C), ("Y",), {"order": "CHWN"}, ArgumentError, "NCHW or NHWC"),
        ("InstanceNorm", (X[0, 0], C, C), ("Y",), {}, ShapeError, "at least 2 dimensions"),
        ("LayerNorm", (X,), ("Y", "m", "s"), {"axis": 3}, ArgumentError, "axis is 3"),
        ("LayerNorm", (X,), ("Y", "m", "s"), {"elementwise_affine": 1}, ArgumentError, "takes 3 inputs"),
        ("LayerNorm", (X,), ("Y",), {}, NetError, "takes 3 outputs"),
        ("RMSNorm", (X, C, C), ("Y", "r"), {}, ShapeError, "12 elements"),
        ("RMSNorm", (X, np.zeros(12), np.zeros(12)), ("Y", "r"), {}, DTypeError, "one data type"),
        ("LRN", (X,), ("Y",), {"size": 3}, ShapeError, "4 dimensions"),
        ("LRN", (X[None],), ("Y",), {}, ArgumentError, "size must be 1 or more"),
        ("SpatialBN", (X, C, C, C, C), ("Y",), {}, ArgumentError, "is_test is missing"),
        ("SpatialBN", (X, C, C, C, C), ("Y",), {"is_test": 0}, ArgumentError, "five outputs"),
        ("SpatialBN", (X, C, C, C, C), ("Y",), {"is_test": 1, "epsilon": 0.0}, ArgumentError, "more than 0"),
        ("SpatialBN", (X, C, C, C, C), FIVE, {"is_test": 0}, ArgumentError, "updated in place"),
        ("Moments", (X,), ("m", "v"), {"axes": [3]}, ArgumentError, "must be in 0..2"),
        ("Normalize", (X,), ("Y",), {"axis": 3}, ArgumentError, "axis is 3"),
        ("LpNorm", (X,), ("Y",), {"p": 3}, ArgumentError, "1 or 2"),
        ("Dropout", (X,), ("Y",), {}, ArgumentError, "is_test is missing"),
        ("Dropout", (np.array([b"text"], object),), ("Y",), {"is_test": 1}, DTypeError, "expected a float tensor"),
        ("Dropout", (X,), ("Y",), {"is_test": 0, "ratio": 1.0}, ArgumentError, "ratio must be in"),
    ],
)
def test_refused(op_type, inputs, outputs, args, error, words):
    with pytest.raises(error, match=words):
        run(op_type, {f"in{i}": value for i, value in enumerate(inputs)}, outputs, **args)
