"""Nets that `serverquant.quantize` writes, in the real Caffe2: they load, and every int8 blob has the same bytes."""

from __future__ import annotations

import numpy as np
import pytest
from peers import real_caffe2
from small_nets import NETS

import serverquant

pytestmark = pytest.mark.oracle


@pytest.mark.parametrize("method", ["min_max", "l2_approx"])
@pytest.mark.parametrize(
    "name", ["digits24", "resnet_eighth_bn", "mobilenet_v2_quarter", "squeezenet_tiny", "recommender"]
)
def test_same_bytes(name, method):
    feeds = dict(np.load(NETS / name / "inputs.npz"))
    # pair_safe: the same on CPUs without VNNI
    made = serverquant.quantize(
        NETS / name / "init_net.pb", NETS / name / "predict_net.pb", feeds, method=method, pair_safe=True
    )
    blobs = [entry["int8"] for entry in made.recipe["blobs"].values()]
    with serverquant.load(made.init, made.predict, keep_blobs=True) as ours, real_caffe2.Caffe2(1) as caffe2:
        ours(feeds)
        caffe2.init(made.init.SerializeToString())
        caffe2.feed(feeds)
        caffe2.create(made.predict.SerializeToString())
        caffe2.run(1)
        theirs = caffe2.fetch(blobs)
        assert len(blobs) > 5
        for blob in blobs:
            data, scale, zero_point = theirs[blob]
            got = ours.fetch(blob)
            assert (got.scale, got.zero_point) == (pytest.approx(scale, rel=1e-7), zero_point), blob
            np.testing.assert_array_equal(got.data, data, err_msg=blob)
