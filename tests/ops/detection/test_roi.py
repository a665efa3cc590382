"""What operators on regions of interest refuse, and how they take new numbers of regions."""

from __future__ import annotations

import numpy as np
import pytest
from ops.nets import bind, feed, run

from serverquant._base.errors import ArgumentError, DTypeError, ServerquantError, ShapeError
from serverquant.runtime.workspace import Workspace

X = np.arange(2 * 3 * 4 * 5, dtype=np.float32).reshape(2, 3, 4, 5)
R = np.float32([[0, 1, 1, 3, 3], [1, 0, 0, 4, 2]])


def test_new_numbers_of_regions_keep_the_plan():
    space = Workspace()
    net = bind(space, "RoIAlign", {"X": X, "R": R}, pooled_h=2, pooled_w=2)
    net.run()
    for count in (1, 0, 2, 7):
        rois = np.resize(R, (count, 5)).astype(np.float32)
        feed(space, "R", rois)
        net.run()
        assert space.fetch("Y").tobytes() == run("RoIAlign", {"X": X, "R": rois}, pooled_h=2, pooled_w=2).tobytes()


def test_without_an_index_all_belong_to_the_first_image():
    np.testing.assert_array_equal(run("RoIAlign", {"X": X, "R": R[:1, 1:]}), run("RoIAlign", {"X": X, "R": R[:1]}))


def test_no_regions():
    assert run("RoIAlign", {"X": X, "R": R[:0]}, pooled_h=2, order="NHWC").shape == (0, 2, 1, 5)
    assert run("RoIPool", {"X": X, "R": R[:0]}, is_test=1).shape == (0, 3, 1, 1)


@pytest.mark.parametrize("op", ["RoIAlign", "RoIPool"])
@pytest.mark.parametrize(
    ("roi", "says"),
    [
        ([2, 0, 0, 1, 1], "RoI 1 belongs to an image that is not there: its index is 2"),
        ([-1, 0, 0, 1, 1], "its index is -1"),
        ([np.nan, 0, 0, 1, 1], "its index is nan"),
        ([0, np.nan, 0, 1, 1], "RoI 1 has a coordinate that is not a number, or too large"),
        ([0, 0, 0, 1, 1e30], "too large"),
    ],
)
def test_bad_region(op, roi, says):
    rois = np.float32([R[0], roi])
    with pytest.raises(ServerquantError, match=says):
        run(op, {"X": X, "R": rois}, **({"is_test": 1} if op == "RoIPool" else {}))


def test_regions_that_cannot_be_sampled():
    with pytest.raises(ServerquantError, match="RoI 0 has a negative width"):
        run("RoIAlign", {"X": X, "R": np.float32([[0, 3, 3, 1, 5]])}, aligned=1)
    with pytest.raises(ServerquantError, match="RoI 0 is too large: a bin would have more than 32768 points"):
        run("RoIAlign", {"X": X, "R": np.float32([[0, 0, 0, 1e8, 1]])})
    with pytest.raises(ServerquantError, match="0 x 5 pixels"):
        run("RoIAlign", {"X": X[:, :, :0], "R": R})


@pytest.mark.parametrize(
    ("op", "feeds", "args", "error", "says"),
    [
        ("RoIAlign", {"X": X[0], "R": R}, {}, ShapeError, "4 dimensions"),
        ("RoIAlign", {"X": X, "R": R[:, :3]}, {}, ShapeError, "RoIs x 4 or 5"),
        ("RoIAlignRotated", {"X": X, "R": R[:, :4]}, {}, ShapeError, "RoIs x 5 or 6"),
        ("RoIAlign", {"X": X.astype(np.int32), "R": R}, {}, DTypeError, "float"),
        ("RoIAlign", {"X": X, "R": R}, {"order": "CHW"}, ArgumentError, "NCHW or NHWC"),
        ("RoIAlign", {"X": X, "R": R}, {"pooled_h": 0}, ArgumentError, "pooled_h is 0"),
        ("RoIAlign", {"X": X, "R": R}, {"sampling_ratio": 100000}, ArgumentError, "at most 32768"),
        ("RoIAlign", {"X": X, "R": R}, {"spatial_scale": -1.0}, ArgumentError, "spatial_scale is -1"),
        ("RoIPool", {"X": X, "R": R}, {"order": "NHWC", "is_test": 1}, ArgumentError, "NCHW only"),
        ("RoIPool", {"X": X, "R": R}, {}, ArgumentError, "two without"),
    ],
)
def test_refused(op, feeds, args, error, says):
    with pytest.raises(error, match=says):
        run(op, feeds, **args)
