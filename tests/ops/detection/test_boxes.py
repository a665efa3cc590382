"""Boxes: transforms, suppression, limits and pyramids by their definitions, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest
from ops.nets import run

from serverquant._base.errors import ArgumentError, NetError, ServerquantError, ShapeError
from serverquant.kernels.boxes import _boxes

RNG = np.random.default_rng(3)


def upright(count, extent=60):
    corner = RNG.uniform(0, extent, (count, 2))
    return np.concatenate([corner, corner + RNG.uniform(2, extent / 2, (count, 2))], 1).astype(np.float32)


def overlap(a, b, one):
    width, height = (max(0, min(a[i + 2], b[i + 2]) - max(a[i], b[i]) + one) for i in (0, 1))
    areas = [(v[2] - v[0] + one) * (v[3] - v[1] + one) for v in (a, b)]
    return width * height / (sum(areas) - width * height)


# ---- suppression ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("one", [0, 1])
def test_nms_keeps_boxes_that_no_better_one_covers(one):
    boxes = upright(90)
    order = RNG.permutation(90).astype(np.int32)
    want: list[int] = []
    for i in order:
        if all(overlap(boxes[k].astype(float), boxes[i].astype(float), one) <= 0.3 for k in want):
            want.append(i)
    assert _boxes.nms(boxes, order, 0.3, -1, one).tolist() == want
    assert _boxes.nms(boxes, order, 0.3, 5, one).tolist() == want[:5]
    assert _boxes.nms(boxes, order, 0.3, 0, one).tolist() == []


def test_nms_refuses_rows_that_are_not_there():
    with pytest.raises(ShapeError, match="there is no box 7 among 3"):
        _boxes.nms(upright(3), np.int32([7]), 0.5, -1, False)
    with pytest.raises(ShapeError, match="4 columns, or 5"):
        _boxes.nms(upright(3)[:, :3].copy(), np.int32([0]), 0.5, -1, False)
    with pytest.raises(ShapeError, match="2 scores for 3 boxes"):
        _boxes.soft_nms(upright(3), np.zeros(2, np.float32), np.int32([0]), False, 0.5, 0.5, 0.1, False)


@pytest.mark.parametrize(
    ("box", "area"),
    [
        ([5, 5, 4, 2, 0], 8.0),  # the same box
        ([5, 5, 4, 2, 180], 8.0),
        ([5, 5, 2, 4, 90], 8.0),
        ([5, 5, 4, 2, 90], 4.0),
        ([7, 5, 4, 2, 0], 4.0),
        ([5, 5, 100, 100, 30], 8.0),  # around it
        ([5, 5, 2**0.5, 2**0.5, 45], 2.0),  # inside
        ([50, 5, 4, 2, 10], 0.0),
    ],
)
def test_common_area_of_rotated_boxes(box, area):
    assert _boxes.rotated_common(np.float32([5, 5, 4, 2, 0]), np.float32(box)) == pytest.approx(area, abs=1e-4)
    assert _boxes.rotated_common(np.float32(box), np.float32([5, 5, 4, 2, 0])) == pytest.approx(area, abs=1e-4)


def test_soft_nms_lowers_scores():
    boxes = np.float32([[0, 0, 10, 10], [0, 0, 10, 5], [20, 20, 30, 30]])
    for gaussian, weight in ((False, 0.5), (True, np.exp(-0.25 / 0.4))):
        scores = np.float32([0.9, 0.8, 0.5])
        keep = _boxes.soft_nms(boxes, scores, np.int32([0, 1, 2]), gaussian, 0.4, 0.3, 0.01, False)
        np.testing.assert_allclose(scores, [0.9, 0.8 * weight, 0.5], rtol=1e-6)
        assert keep.tolist() == [0, *np.argsort(-scores[1:]) + 1]
    scores = np.float32([0.9, 0.8, 0.5])
    assert _boxes.soft_nms(boxes, scores, np.int32([0, 1, 2]), False, 0.4, 0.3, 0.45, False).tolist() == [0, 2]


# ---- BoxWithNMSLimit -----------------------------------------------------------------------------------------------

OUTPUTS = ["s", "b", "c", "n", "k", "ks"]


def test_limit_takes_the_best_over_all_classes():
    boxes = np.tile(upright(4, 1000), 3)  # far apart
    scores = np.float32([[0, 0.5, 0.1], [0, 0.2, 0.9], [0, 0.8, 0.7], [0, 0.01, 0.3]])
    got = run("BoxWithNMSLimit", {"S": scores, "B": boxes}, OUTPUTS, detections_per_im=4, nms=0.9)
    np.testing.assert_array_equal(got[0], np.float32([0.8, 0.5, 0.9, 0.7]))
    assert got[2].tolist() == [1, 1, 2, 2]
    assert got[3].tolist() == [4]
    assert got[4].tolist() == [2, 0, 1, 2]
    assert got[5].tolist() == [[0, 2, 2]]
    np.testing.assert_array_equal(got[1], boxes[got[4], :4])


def test_nothing_is_found():
    feeds = {"S": np.zeros((3, 2), np.float32), "B": np.zeros((3, 8), np.float32)}
    got = run("BoxWithNMSLimit", feeds, OUTPUTS)
    assert [g.shape for g in got] == [(0,), (0, 4), (0,), (1,), (0,), (1, 2)]
    assert [g.dtype.name for g in got] == ["float32"] * 4 + ["int32"] * 2


@pytest.mark.parametrize(
    ("shapes", "splits", "args", "says"),
    [
        (((3, 2), (3, 4)), None, {}, "expected 3 x 8 for scores of 2 classes"),
        (((3, 2), (2, 8)), None, {}, "expected 3 x 8"),
        (((3, 2), (3, 8)), None, {"rotated": 1}, "expected 3 x 10"),
        (((3, 2, 2, 1), (3, 8)), None, {}, "of which the last two are 1"),
        (((3, 2), (3, 8)), [2, 2], {}, "add up to the 3 boxes"),
        (((3, 2), (3, 8)), [4, -1], {}, "must not be negative"),
        (((3, 2), (3, 8)), [1.5, 1.5], {}, "add up to the 3 boxes"),
        (((3, 2), (3, 8)), None, {"soft_nms_method": "hard"}, "linear or gaussian"),
    ],
)
def test_limit_refuses(shapes, splits, args, says):
    feeds = {"S": np.zeros(shapes[0], np.float32), "B": np.zeros(shapes[1], np.float32)}
    if splits:
        feeds["splits"] = np.float32(splits)
    with pytest.raises(ServerquantError, match=says):
        run("BoxWithNMSLimit", feeds, OUTPUTS[:4], **args)
    with pytest.raises(ArgumentError, match="3, 4 or 6 outputs"):
        run("BoxWithNMSLimit", feeds, OUTPUTS[:5])


# ---- transforms ----------------------------------------------------------------------------------------------------

INFO = np.float32([[40, 60, 2]])


def test_transform():
    box = np.float32([[2, 4, 21, 13]])  # in the scaled image; 1, 2, 10.5, 6.5 in the original
    delta = np.float32([[0.1, 0.2, np.log(2), -np.log(2)]])
    y = run("BBoxTransform", {"R": box, "D": delta, "I": INFO}, legacy_plus_one=0, apply_scale=0)
    x, height = 5.75 + 0.1 * 9.5, 4.5 / 2
    want = [max(0, x - 9.5), 4.25 + 0.2 * 4.5 - height / 2, x + 9.5, 4.25 + 0.2 * 4.5 + height / 2]
    np.testing.assert_allclose(y, [want], rtol=1e-6)


def test_many_boxes_are_transformed_as_few_are():
    boxes = upright(9000)
    deltas = RNG.normal(0, 0.3, (9000, 8)).astype(np.float32)
    rois = np.concatenate([np.repeat([[0], [1]], 4500, 0).astype(np.float32), boxes], 1)
    info = np.float32([[40, 60, 2], [90, 50, 1]])
    got, counts = run("BBoxTransform", {"R": rois, "D": deltas, "I": info}, ["Y", "N"])
    assert counts.tolist() == [4500, 4500]
    for image, first in ((0, 0), (0, 4400), (1, 4500), (1, 8950)):
        part = slice(first, first + 50)
        few = run("BBoxTransform", {"R": boxes[part], "D": deltas[part], "I": info[image : image + 1]})
        np.testing.assert_array_equal(got[part], few)


@pytest.mark.parametrize(
    ("shapes", "args", "says"),
    [
        (((3, 6), (3, 4), (1, 3)), {}, "RoIs x 4 or 5"),
        (((3, 4), (3, 6), (1, 3)), {}, "3 x a multiple of 4"),
        (((3, 4), (2, 4), (1, 3)), {}, "3 x a multiple of 4"),
        (((3, 4), (3, 4), (2, 3)), {}, "belong to one image"),
        (((3, 5), (3, 4), (2, 2)), {}, "images x 3"),
        (((3, 4), (3, 4), (1, 3)), {"weights": [1.0]}, "must have 4"),
        (((3, 5), (3, 5), (1, 3)), {"rotated": 1, "angle_bound_hi": 0}, "multiple of 180"),
    ],
)
def test_transform_refuses(shapes, args, says):
    with pytest.raises(ServerquantError, match=says):
        run("BBoxTransform", dict(zip("RDI", (np.ones(s, np.float32) for s in shapes))), **args)


def test_transform_refuses_an_image_that_is_not_there():
    rois = np.float32([[0, 1, 1, 2, 2], [1, 1, 1, 2, 2]])
    with pytest.raises(ShapeError, match="RoI 1 belongs to image 1, but im_info has 1"):
        run("BBoxTransform", {"R": rois, "D": np.zeros((2, 4), np.float32), "I": INFO})


@pytest.mark.parametrize("info", [[40, 60, 0], [np.inf, 60, 1], [40, np.nan, 1], [40, 60, np.nan]])
def test_transform_refuses_images_without_size(info):
    feeds = {"R": np.ones((1, 4), np.float32), "D": np.zeros((1, 4), np.float32), "I": np.float32([info])}
    with pytest.raises(ShapeError, match="im_info"):
        run("BBoxTransform", feeds)


# ---- proposals -----------------------------------------------------------------------------------------------------


def proposals(**args):
    rng = np.random.default_rng(1)
    feeds = {
        "S": rng.random((2, 1, 3, 4)).astype(np.float32),
        "D": np.zeros((2, 4, 3, 4), np.float32),
        "I": np.float32([[48, 64, 1]] * 2),
        "A": np.float32([[0, 0, 15, 15]]),
    }
    return feeds, *run("GenerateProposals", feeds, ["R", "P"], **args)


def test_proposals_are_the_anchors_of_the_best_pixels():
    feeds, rois, probs = proposals(post_nms_topN=3, min_size=16.0)
    assert rois[:, 0].tolist() == [0, 0, 0, 1, 1, 1]
    for image in (0, 1):
        scores = feeds["S"][image].ravel()
        best = np.argsort(-scores)[:3]
        np.testing.assert_array_equal(probs[3 * image :][:3], scores[best])
        corners = np.stack([best % 4 * 16, best // 4 * 16], 1)
        np.testing.assert_array_equal(rois[3 * image :][:3, 1:], np.concatenate([corners, corners + 15], 1))


def test_no_proposals():
    _, rois, probs = proposals(min_size=17.0)
    assert (rois.shape, probs.shape) == ((0, 5), (0,))


@pytest.mark.parametrize(
    ("i", "shape", "says"),
    [
        (0, (1, 3, 4), "images x A x H x W"),
        (1, (2, 5, 3, 4), "expected 2 x 4 x 3 x 4"),
        (2, (1, 3), "expected 2 x 3"),
        (3, (2, 4), "expected 1 x 4, or 1 x 5"),
    ],
)
def test_proposals_refuse(i, shape, says):
    shapes = [(2, 1, 3, 4), (2, 4, 3, 4), (2, 3), (1, 4)]
    shapes[i] = shape
    with pytest.raises(ShapeError, match=says):
        run("GenerateProposals", dict(zip("SDIA", (np.ones(s, np.float32) for s in shapes))), ["R", "P"])


# ---- pyramids ------------------------------------------------------------------------------------------------------

LEVELS = {"roi_min_level": 2, "roi_max_level": 3, "rpn_min_level": 2, "rpn_max_level": 3}


def square(side):
    return [0, 0, 0, side - 1, side - 1]


def test_levels_by_size():
    rois = np.float32([square(s) for s in (224, 20, 100, 112, 111, 900)])
    two, three, restore = run("DistributeFpnProposals", {"R": rois}, ["2", "3", "i"], roi_min_level=2, roi_max_level=3)
    assert two[:, 3].tolist() == [19, 99, 110]
    assert three[:, 3].tolist() == [223, 111, 899]
    np.testing.assert_array_equal(np.concatenate([two, three])[restore], rois)


def test_collected_by_score():
    feeds = {f"r{i}": np.float32([square(10 * i + k) for k in (1, 2)]) for i in range(2)}
    feeds |= {"p0": np.float32([0.1, 0.5]), "p1": np.float32([0.5, 0.9])}
    args = {"rpn_min_level": 2, "rpn_max_level": 3, "rpn_post_nms_topN": 3}
    rois = run("CollectRpnProposals", feeds, **args)
    assert (rois[:, 3] + 1).tolist() == [12, 2, 11]


@pytest.mark.parametrize(
    ("op", "feeds", "outputs", "error", "says"),
    [
        ("CollectRpnProposals", 3, 1, NetError, "takes 4 inputs, not 3"),
        ("DistributeFpnProposals", 1, 2, NetError, "takes 3 outputs, not 2"),
        ("CollectAndDistributeFpnRpnProposals", 4, 3, NetError, "takes 4 outputs, not 3"),
        ("CollectRpnProposals", 4, 1, ShapeError, "2 scores, one for each row"),
    ],
)
def test_pyramids_refuse(op, feeds, outputs, error, says):
    rois = {f"r{i}": np.ones((2, 5), np.float32) for i in range(feeds)}
    args = {k: v for k, v in LEVELS.items() if op != "DistributeFpnProposals" or k.startswith("roi")}
    args = {k: v for k, v in args.items() if op != "CollectRpnProposals" or k.startswith("rpn")}
    with pytest.raises(error, match=says):
        run(op, rois, [f"y{i}" for i in range(outputs)], **args)


def test_negative_area():
    rois = np.float32([[0, 9, 0, 1, 5]])
    with pytest.raises(ServerquantError, match=r"RoI 0, .* has a negative area"):
        run("DistributeFpnProposals", {"R": rois}, ["2", "i"], roi_min_level=2, roi_max_level=2)


# ---- keypoints -----------------------------------------------------------------------------------------------------


def test_keypoint_of_a_paraboloid():
    y, x = np.mgrid[:6, :6]
    maps = -((x - 2.3) ** 2) - 2 * (y - 3.8) ** 2 + 7
    got = run("HeatmapMaxKeypoint", {"H": np.float32(maps[None, None]), "B": np.float32([[10, 20, 22, 50]])})
    np.testing.assert_allclose(got[0, :, 0], [10 + 2.8 * 2, 20 + 4.3 * 5, 7, 0], rtol=1e-5)


def test_probability_of_a_keypoint():
    maps = RNG.normal(0, 1, (2, 3, 4, 4)).astype(np.float32)
    got = run("HeatmapMaxKeypoint", {"H": maps, "B": np.ones((2, 4), np.float32)}, should_output_softmax=1)
    e = np.exp(maps.astype(float)).reshape(2, 3, 16)
    np.testing.assert_allclose(got[:, 3], e.max(2) / e.sum(2), rtol=1e-5)


@pytest.mark.parametrize(("maps", "boxes"), [((1, 2, 1, 1), (1, 4)), ((1, 2, 3, 4), (1, 4)), ((1, 2, 3, 3), (1, 3))])
def test_keypoints_refuse(maps, boxes):
    with pytest.raises(ShapeError, match="expected"):
        run("HeatmapMaxKeypoint", {"H": np.ones(maps, np.float32), "B": np.ones(boxes, np.float32)})
