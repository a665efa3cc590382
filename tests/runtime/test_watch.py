"""Watchers: they see every value that they asked for as it was written, in nets that share memory and fuse too."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import serverquant
from serverquant.predictor import Predictor

NETS = Path(__file__).resolve().parents[2] / "nets"


class Watcher:
    def __init__(self, fail_at: str = ""):
        self.seen: dict[str, np.ndarray] = {}
        self.runs, self.fail_at = 0, fail_at

    def wrote(self, operator, blobs):
        for name, blob in zip(operator.outputs, blobs):
            if name == self.fail_at:
                raise ZeroDivisionError
            self.seen[name] = blob.fetch()

    def ran(self, net, begin, end, parts):
        self.runs += 1
        assert all((stamps[:, 1] >= stamps[:, 0]).all() for _, stamps in parts)


def nets(name: str) -> list[Path]:
    return [NETS / name / "init_net.pb", NETS / name / "predict_net.pb"]


@pytest.mark.parametrize("name", ["digits24", "mobilenet_v2_quarter", "sequence", "detector", "digits24_int8_fixed"])
def test_what_is_watched_is_what_a_simple_net_keeps(name):
    feeds = dict(np.load(NETS / name.removesuffix("_int8_fixed") / "inputs.npz"))
    keeping = Predictor(*nets(name), keep_blobs=True)
    want = keeping(feeds)
    names = {blob for op in keeping.proto.op for blob in op.output}
    with Predictor(*nets(name), watched=names) as predict:
        watcher = Watcher()
        with serverquant.observe(predict, watcher):
            for _ in range(2):  # places are found in the first
                watcher.seen.clear()
                got = predict(feeds)
        for blob in want:
            np.testing.assert_array_equal(got[blob], want[blob])
        assert set(watcher.seen) == names
        for blob in names:
            np.testing.assert_array_equal(watcher.seen[blob], getattr(keeping.fetch(blob), "data", keeping.fetch(blob)))
        assert watcher.runs == 2


def test_what_nobody_watches_is_fused_as_ever():
    feeds = dict(np.load(NETS / "digits24" / "inputs.npz"))
    with Predictor(*nets("digits24")) as predict:
        watcher = Watcher()
        with serverquant.observe(predict, watcher):
            predict(feeds)
        assert len(watcher.seen) < len(predict.proto.op)


def test_an_error_of_a_watcher_ends_the_run_and_no_more():
    feeds = dict(np.load(NETS / "digits24" / "inputs.npz"))
    with Predictor(*nets("digits24")) as predict:
        want = predict(feeds)
        output = predict.outputs[0]
        with serverquant.observe(predict, Watcher(fail_at=output)), pytest.raises(ZeroDivisionError):
            predict(feeds)
        np.testing.assert_array_equal(predict(feeds)[output], want[output])


def test_weights_as_arrays():
    feeds = dict(np.load(NETS / "digits24" / "inputs.npz"))
    with serverquant.load(*nets("digits24")) as predict:
        want, weights = predict(feeds), {name: predict.fetch(name) for name in predict.parameters}
    with Predictor(weights, nets("digits24")[1]) as predict:
        assert predict.inputs == list(feeds)
        got = predict(feeds)
    for name in want:
        np.testing.assert_array_equal(got[name], want[name])
