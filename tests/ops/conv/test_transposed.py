"""Transposed convolutions, locally connected layers and columns of images against plain numpy."""

from __future__ import annotations

import numpy as np
import pytest
from ops.nets import bind, run
from reference import layers as want

from serverquant._base.errors import ArgumentError, ShapeError
from serverquant.runtime.workspace import Workspace

RNG = np.random.default_rng(3)


def floats(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def last(array, first=1):
    """Channels behind the rest."""
    return np.ascontiguousarray(np.moveaxis(array, first, -1))


def close(got, expected):
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max(initial=1))


# inputs, outputs, groups, kernel, strides, pads, adjs, sizes: many pixels, and few, which take another way
TRANSPOSED = [
    (3, 5, 1, (3, 2), (2, 1), (0, 0, 0, 0), (0, 0), (6, 7)),
    (4, 6, 2, (2, 3), (3, 2), (1, 0, 0, 2), (1, 1), (5, 4)),
    (6, 3, 3, (4, 4), (2, 2), (1, 1, 1, 1), (0, 1), (2, 3)),
    (20, 33, 1, (1, 1), (2, 2), (0, 0, 0, 0), (1, 0), (1, 1)),
]


@pytest.mark.parametrize("with_bias", [False, True])
@pytest.mark.parametrize("case", TRANSPOSED)
def test_transposed(case, with_bias):
    inputs, outputs, groups, kernel, strides, pads, adjs, sizes = case
    x, w = floats(2, inputs, *sizes), floats(inputs, outputs // groups, *kernel)
    bias = {"b": floats(outputs)} if with_bias else {}
    args = {"kernels": kernel, "strides": strides, "pads": pads, "adjs": adjs, "group": groups}
    expected = want.transposed_conv(x, w, strides, pads, adjs, groups, bias.get("b"))
    close(run("ConvTranspose", {"X": x, "w": w, **bias}, **args), expected)
    got = run("ConvTranspose", {"X": last(x), "w": last(w), **bias}, order="NHWC", **args)
    close(got, last(expected))


def test_transposed_takes_new_weights_and_batches():
    space = Workspace()
    net = bind(space, "ConvTranspose", {"X": floats(2, 3, 4, 5), "w": floats(3, 2, 2, 2)}, kernel=2, stride=2)
    for batch in (2, 5, 0, 1):
        x, w = floats(batch, 3, 4, 5), floats(3, 2, 2, 2)
        space.get("X").feed(x)
        space.get("w").feed(w)
        net.run()
        expected = want.transposed_conv(x, w, (2, 2), (0, 0, 0, 0), (0, 0), 1)
        assert space.fetch("Y").shape == expected.shape
        close(space.fetch("Y"), expected)


def test_images_that_share_no_product():
    """More columns than one product takes."""
    x, w = floats(3, 40, 30, 31), floats(40, 50, 4, 4)
    y = run("ConvTranspose", {"X": x, "w": w}, kernel=4, stride=2, pad=1)
    for i in range(3):
        one = run("ConvTranspose", {"X": x[i : i + 1], "w": w}, kernel=4, stride=2, pad=1)
        assert y[i : i + 1].tobytes() == one.tobytes()


@pytest.mark.parametrize(
    ("args", "error", "words"),
    [
        ({"kernel": 2, "stride": 2, "adj": 3}, ArgumentError, "must not exceed the strides"),
        ({"stride": 2}, ArgumentError, "size is missing"),
        ({"kernel": 2, "group": 2}, ShapeError, "do not divide into 2 groups"),
        ({"kernel": 2, "legacy_pad": 3}, ArgumentError, "legacy_pad is 3"),
        ({"kernel": 3}, ShapeError, "do not fit"),
        ({"kernel": 2, "pad": 9}, ShapeError, "would become"),
    ],
)
def test_transposed_refuses(args, error, words):
    with pytest.raises(error, match=words):
        run("ConvTranspose", {"X": floats(1, 3, 4, 4), "w": floats(3, 2, 2, 2)}, **args)


def test_transposed_refuses_a_bias_of_another_length():
    with pytest.raises(ShapeError, match="an entry for each output"):
        run("ConvTranspose", {"X": floats(1, 3, 4, 4), "w": floats(3, 2, 2, 2), "b": floats(3)}, kernel=2)


@pytest.mark.parametrize("op_type", ["LC", "LC2D"])
@pytest.mark.parametrize("groups", [1, 2])
def test_locally_connected(op_type, groups):
    strides, pads, kernel = (1, 2), (1, 0, 0, 1), (2, 3)
    x, w, b = floats(3, 4, 5, 6), floats(5, 3, 6, 4 // groups, *kernel), floats(5, 3, 6)
    args = {"kernels": kernel, "strides": strides, "pads": pads}
    expected = want.local_conv(x, w, strides, pads, groups, b)
    close(run(op_type, {"X": x, "w": w, "b": b}, group=groups, **args), expected)
    if groups == 1:
        feeds = {"X": last(x), "w": last(w, 3), "b": b}
        close(run(op_type, feeds, order="NHWC", **args), last(expected))


def test_locally_connected_refuses():
    x, w = floats(1, 4, 5, 5), floats(4, 4, 2, 4, 2, 2)
    with pytest.raises(ShapeError, match=r"expected \(4, 4, outputs, 4, 2, 2\)"):
        run("LC", {"X": x, "w": w[:3]}, kernel=2)
    with pytest.raises(ArgumentError, match="groups need order NCHW"):
        run("LC", {"X": x, "w": w}, kernel=2, group=2, order="NHWC")
    with pytest.raises(ArgumentError, match="LC3D takes a kernel of 3 dimensions"):
        run("LC3D", {"X": x, "w": w}, kernel=2)


def test_conv_names_say_how_many_dimensions():
    x, w = floats(1, 2, 5), floats(3, 2, 2)
    expected = run("Conv", {"X": x, "w": w}, kernels=[2])
    assert run("Conv1D", {"X": x, "w": w}, kernels=[2]).tobytes() == expected.tobytes()
    with pytest.raises(ArgumentError, match="Conv2D takes a kernel of 2 dimensions"):
        run("Conv2D", {"X": x, "w": w}, kernels=[2])


def test_conv_with_a_relu():
    x, w, b = floats(2, 3, 6, 6), floats(4, 3, 3, 3), floats(4)
    plain = run("Conv", {"X": x, "w": w, "b": b}, kernel=3)
    assert run("ConvRelu", {"X": x, "w": w, "b": b}, kernel=3).tobytes() == np.maximum(plain, 0).tobytes()
    assert plain.min() < 0


def test_legacy_same_with_a_stride_beyond_the_window():
    """Pixels at the edges are left out: the windows begin one pixel inside."""
    x = floats(1, 2, 9, 9)
    w = np.float32([[[[1]], [[0]]]])
    assert run("Conv", {"X": x, "w": w}, kernel=1, stride=3, legacy_pad=2).tobytes() == x[:, :1, 1::3, 1::3].tobytes()


@pytest.mark.parametrize("order", ["NCHW", "NHWC"])
def test_columns(order):
    x = floats(2, 3, 5, 6)
    columns = want.image_to_columns(x, (2, 3), (2, 1), (1, 1, 1, 1))
    n, c, kh, kw, oh, ow = columns.shape
    args = {"kernel_h": 2, "kernel_w": 3, "stride_h": 2, "pad": 1, "order": order}
    planes = columns.reshape(n, c * kh * kw, oh, ow)
    pixels = columns.transpose(0, 4, 5, 2, 3, 1).reshape(n, oh, ow, -1)
    expected, image = (planes, x) if order == "NCHW" else (np.ascontiguousarray(pixels), last(x))
    assert run("Im2Col", {"X": image}, **args).tobytes() == expected.tobytes()
    # Every pixel comes back as often as windows saw it.
    seen = run("Col2Im", {"cols": np.ones_like(expected), "Z": image}, **args)
    np.testing.assert_allclose(run("Col2Im", {"cols": expected, "Z": image}, **args), image * seen, rtol=1e-6)
    assert seen.min() >= 1
    assert seen.sum() == expected.astype(bool).sum()


def test_columns_refuse():
    with pytest.raises(ArgumentError, match="kernel must be 1 or more"):
        run("Im2Col", {"X": floats(1, 1, 4, 4)})
    with pytest.raises(ShapeError, match="does not fit"):
        run("Im2Col", {"X": floats(1, 1, 4, 4)}, kernel=5)
    with pytest.raises(ShapeError, match="4 dimensions"):
        run("Im2Col", {"X": floats(1, 4, 4)}, kernel=2)
    with pytest.raises(ShapeError, match="what Im2Col makes"):
        run("Col2Im", {"cols": floats(1, 4, 3, 2), "Z": floats(1, 1, 4, 4)}, kernel=2)
