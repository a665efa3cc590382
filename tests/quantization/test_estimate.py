"""What is said of a net's gain before it is written."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest
from families import op
from small_nets import NETS, conv, nets_of, random

import serverquant
from serverquant import core
from serverquant.quantization.estimate import GainWarning
from serverquant.quantization.ptq import quantize


def quantized(name):
    feeds = dict(np.load(NETS / name / "inputs.npz"))
    return quantize(NETS / name / "init_net.pb", NETS / name / "predict_net.pb", feeds, preset="fast")


@pytest.mark.parametrize("name", ["resnet_eighth_bn", "mobilenet_v2_quarter", "squeezenet_tiny"])
def test_nets_of_layers_gain(name):
    """What was measured on one core with VNNI is 3.2 to 4.9 times the speed."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", GainWarning)
        found = quantized(name).recipe["estimate"]
    assert json.loads(json.dumps(found)) == found
    assert 3 < found["gain"] < 6
    assert found["gain"] == pytest.approx(found["float_us"] / found["int8_us"], rel=0.02)
    assert found["stays_float"] == 0
    assert found["warning"] == ""
    assert sum(part["share"] for part in found["operators"]) == pytest.approx(1, abs=0.01)
    first = found["operators"][0]
    assert first["types"][0] == "Conv"
    assert first["becomes"] == "Int8ConvRelu"
    assert first["gain"] > 1


def test_a_net_that_stays_float_is_warned_about():
    with pytest.warns(GainWarning, match=r'"detector": [5-7]\d % of the time stays float: GenerateProposals'):
        result = quantized("detector")
    found = result.recipe["estimate"]
    stays = [part for part in found["operators"] if part["becomes"] is None]
    assert {part["output"] for part in stays} == set(result.recipe["float"])
    assert found["stays_float"] == pytest.approx(sum(part["share"] for part in stays), rel=0.02)
    assert found["warning"].endswith(" and 2 more")


@pytest.mark.filterwarnings("ignore::serverquant.CalibrationWarning")
def test_conversions_that_cost_more_than_is_saved():
    """Layers of one channel, and cheap operators without an int8 form between them."""
    ops, name = [], "x"
    for i in range(6):
        ops += [conv(name, f"h{i}", "w", pad=1), op("Negative", f"h{i}", f"e{i}")]
        name = f"e{i}"
    nets = nets_of([*ops, core.CreateOperator("Copy", [name], ["y"])], w=random(1, 1, 3, 3))
    with pytest.warns(GainWarning, match="conversions between float and int8 take more time than int8 saves"):
        quantize(*nets, random(1, 1, 200, 200))


def test_python_bodies_count():
    @serverquant.register("SlowInPython", replace=True)
    def slow(x):
        return x

    nets = nets_of([conv("x", "h", "w"), op("SlowInPython", "h", "y")], w=random(4, 3, 3, 3))
    with pytest.warns(GainWarning, match=r"100 % of the time stays float: SlowInPython \(y\)$"):
        quantize(*nets, random(2, 3, 8, 8))
