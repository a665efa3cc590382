"""Engine DNNLOWP_ACC16: the exact sums, and what is told of Caffe2's."""

from __future__ import annotations

import numpy as np
import pytest
from ops.nets import bind, run

from serverquant._base.errors import ArgumentError
from serverquant.blobs.store import Int8
from serverquant.ops.dnnlowp.acc16 import columns_past_int16
from serverquant.runtime.workspace import Workspace

ENGINE = "DNNLOWP_ACC16"
rng = np.random.default_rng(5)


def test_columns_past_int16():
    weights = np.int8([[127, 1], [127, 2], [-128, 0], [-128, -1], [64, 64], [100, -100]])
    assert columns_past_int16(weights, 8) == 2  # 129 * 255 > 32767; -129 * 255 < -32768
    assert columns_past_int16(np.int8([[7, 7, -8], [100, 31, 1]]), 4) == 0
    assert columns_past_int16(np.int8([[7] * 20, [8] * 20]), 4) == 1  # eights are outliers


def layers():
    x = Int8(rng.integers(0, 256, (3, 40)).astype(np.uint8), np.float32(0.1), 9)
    w = Int8(rng.integers(0, 256, (6, 40)).astype(np.uint8), np.float32(0.02), 128)
    return x, w, np.zeros(6, np.float32)


@pytest.mark.parametrize("bits", [2, 8])
@pytest.mark.parametrize("packed", [False, True])
def test_fc_is_exact_and_says_what_could_saturate(packed, bits):
    x, w, b = layers()
    args = {"Y_scale": 0.5, "Y_zero_point": 100}
    space = Workspace()
    w_in = w
    if packed:
        bind(space, "Int8FCPackWeight", {"W": w}, ["P"], engine=ENGINE, nbits_in_non_outlier=bits).run()
        w_in = space.find("P").value
    net = bind(space, "Int8FC", {"X": x, "P" if packed else "W": w_in, "b": b}, engine=ENGINE,
               nbits_in_non_outlier=bits, **args)  # fmt: skip
    net.run()
    want = run("Int8FC", {"X": x, "W": w, "b": b}, engine="DNNLOWP", **args)
    np.testing.assert_array_equal(space.fetch("Y").data, want.data)
    count = columns_past_int16((w.data.astype(int) - 128).astype(np.int8), bits)
    assert (count == 0) == (bits == 2)
    assert net.last_plans[0].steps_python[0][0].facts["past_int16"] == f"{count} of 6 columns"


def test_conv_too():
    x = Int8(rng.integers(0, 256, (1, 5, 5, 4)).astype(np.uint8), np.float32(0.1), 9)
    w = rng.standard_normal((8, 3, 3, 4)).astype(np.float32)
    args = {"order": "NHWC", "kernel": 3, "Y_scale": 0.2, "Y_zero_point": 128}
    space = Workspace()
    net = bind(space, "ConvRelu", {"X": x, "W": w}, engine=ENGINE, nbits_in_non_outlier=4, **args)
    net.run()
    want = run("ConvRelu", {"X": x, "W": w}, engine="DNNLOWP", **args)
    np.testing.assert_array_equal(space.fetch("Y").data, want.data)
    assert net.last_plans[0].steps_python[0][0].facts["past_int16"].endswith(" of 8 columns")
    bind(space, "Int8ConvPackWeight", {"W": w}, ["P"], engine=ENGINE, kernel=3, order="NHWC").run()
    net = bind(space, "Int8Conv", {"X": x, "P": space.find("P").value}, engine=ENGINE, **args)
    net.run()
    assert net.last_plans[0].steps_python[0][0].facts["past_int16"] == "8 of 8 columns"


def test_refused():
    x, w, b = layers()
    with pytest.raises(ArgumentError, match="nbits_in_non_outlier"):
        run("FC", {"X": x, "W": w, "b": b}, engine=ENGINE, Y_scale=1.0, nbits_in_non_outlier=-1)
