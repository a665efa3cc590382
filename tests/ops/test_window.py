"""Arguments of sliding windows."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from serverquant._base.errors import ArgumentError, ShapeError
from serverquant.ops._window import WINDOW_ARGS, join_dims, read_window, split_dims


def window(**given):
    args = {arg.name: arg.default for arg in WINDOW_ARGS}
    assert set(given) <= {*args, "global_pooling"}
    return read_window(SimpleNamespace(args=SimpleNamespace(**{**args, **given})))


@pytest.mark.parametrize(
    "given",
    [
        {"kernel": 3, "pad": 1, "stride": 2, "dilation": 2},
        {
            "kernel_h": 3,
            "kernel_w": 3,
            "pad_t": 1,
            "pad_l": 1,
            "pad_b": 1,
            "pad_r": 1,
            "stride_h": 2,
            "stride_w": 2,
            "dilation_h": 2,
            "dilation_w": 2,
        },
        {"kernels": [3, 3], "pads": [1, 1, 1, 1], "strides": [2, 2], "dilations": [2, 2]},
        {"kernel": 3, "kernels": [3, 3], "pad": 1, "stride": 2, "dilation": 2},
    ],
)
def test_all_forms_say_the_same(given):
    w = window(**given)
    assert (w.kernel, w.strides, w.pads, w.dilations) == ((3, 3), (2, 2), (1, 1, 1, 1), (2, 2))


def test_one_and_three_dimensions():
    assert window(kernels=[3]).fit((8,)).out_sizes == (6,)
    fit = window(kernels=[1, 2, 3], pads=[0, 1, 2, 0, 0, 1]).fit((4, 4, 4))
    assert fit.out_sizes == (4, 4, 5)
    assert fit.pads == (0, 1, 2, 0, 0, 1)


@pytest.mark.parametrize(("legacy_pad", "outputs"), [(0, 3), (1, 3), (2, 4), (3, 4)])
def test_legacy_pads(legacy_pad, outputs):
    fit = window(kernel=3, stride=2, legacy_pad=legacy_pad).fit((8, 8))
    assert fit.out_sizes == (outputs, outputs)
    # the pads that come out give the same sizes by the ordinary rule
    assert window(kernel=3, stride=2, pads=list(fit.pads)).fit((8, 8)).out_sizes == fit.out_sizes


def test_caffe_starts_the_last_window_inside():
    assert window(kernel=2, stride=2, pad=1, legacy_pad=3).fit((3, 3)).out_sizes == (2, 2)


def test_global():
    fit = window(global_pooling=True).fit((5, 7))
    assert (fit.kernel, fit.out_sizes) == ((5, 7), (1, 1))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "kernel"),
        ({"kernel_h": 3}, "kernel_w"),
        ({"kernel": 3, "kernels": [3, 5]}, "more than once"),
        ({"kernels": [3], "stride": 2}, "strides"),
        ({"kernel": 0}, "1 or more"),
        ({"kernel": 3, "pads": [0, 0, -1, 0]}, "0 or more"),
        ({"kernel": 3, "pad_t": 1}, "pad_b"),
        ({"kernel": 3, "pad": 1, "legacy_pad": 2}, "no choice of pads"),
        ({"kernel": 3, "dilation": 2, "legacy_pad": 2}, "dilation"),
        ({"kernel": 3, "legacy_pad": 7}, "legacy_pad"),
        ({"kernels": [1, 1, 1, 1]}, "dimensions"),
        ({"kernel": 3, "order": "NCWH"}, "order"),
        ({"global_pooling": True, "pad": 1}, "global_pooling"),
    ],
)
def test_refused(given, says):
    with pytest.raises(ArgumentError, match=says):
        window(**given)


def test_does_not_fit():
    with pytest.raises(ShapeError, match="does not fit"):
        window(kernel=3).fit((2, 5))
    with pytest.raises(ShapeError, match="2 dimensions"):
        window(kernel=3).fit((5,))


@pytest.mark.parametrize("nhwc", [False, True])
def test_dims(nhwc):
    dims = (2, 4, 5, 3) if nhwc else (2, 3, 4, 5)
    assert split_dims(dims, nhwc) == (2, 3, (4, 5))
    assert join_dims(2, 3, (4, 5), nhwc) == dims
