"""Each operator with an int8 form becomes it, and the net stays near; what has none says why."""

from __future__ import annotations

import families
import numpy as np
import pytest
from families import image, op, rows
from small_nets import NETS, conv, nets_of, outputs, random

import serverquant
from serverquant import core
from serverquant._base.errors import ArgumentError
from serverquant.qparams import QParams, dequantize
from serverquant.qparams import quantize as quantize_values
from serverquant.quantization.compare import Difference
from serverquant.quantization.emit import forms
from serverquant.quantization.ptq import quantize

f32 = np.float32


def types(result) -> list[str]:
    return [op.type for op in result.predict.op]


def sqnr(nets, result, feeds) -> float:
    difference = Difference("y", "y")
    difference.add(outputs(*nets, **feeds)["y"], outputs(result.init, result.predict, **feeds)["y"])
    return difference.sqnr


@pytest.mark.parametrize("name", families.CASES)
def test_becomes_int8(name):
    case = families.CASES[name]
    result = quantize(*case.nets, case.feeds)
    assert case.wants <= set(types(result))
    assert result.recipe["float"] == {}
    assert sqnr(case.nets, result, case.feeds) > case.least


X = families.X


@pytest.mark.parametrize(
    ("case", "why"),
    [
        (image(op("Elu", "h", "i"), wants=""), "Elu: Elu is computed in float"),
        (image(op("LeakyRelu", "h", "i", alpha=1.5), wants=""), "its alpha is 1.5"),
        (image(op("Clip", "h", "i", min=0.1, max=1.0), wants=""), "its range leaves out 0"),
        (image(op("Softmax", "h", "i"), wants=""), "its int8 form has steps of 1/256"),
        (image(op("Relu", "h", "j"), op("Tanh", "j", "i", engine="CUDNN"), wants=""), "it asks for engine CUDNN"),
        (image(op("Concat", "h h", "i i_sizes", axis=0), wants=""), "it joins batches"),
        (image(op("Slice", "h", "i", starts=[1, 0, 0, 0], ends=[-1, -1, -1, -1]), wants=""), "it cuts the batch"),
        (image(op("Split", "h", "i j", axis=0), wants=""), "it cuts the batch"),
        (image(op("Transpose", "h", "i", axes=[0, 1, 3, 2]), wants=""), "it turns an image"),
        (image(op("Mul", "h a", "i"), wants="", a=random(6, 6)), "its constant has other than one value"),
        (image(op("Sub", "h h", "i"), wants=""), "it subtracts blobs"),
        (
            image(op("ConvTranspose", "h t", "i", kernel=1, group=2), wants="", t=random(8, 4, 1, 1)),
            "it has groups",
        ),
        (
            image(op("ConvTranspose", "h t", "j", kernel=1), op("Clip", "j", "i", min=0.0, max=1e-4), wants="",
                  t=random(8, 8, 1, 1)),
            "its output is too small for the multiplier",
        ),
        (
            image(op("ReduceMean", "h", "j", axes=[2, 3], keepdims=1), op("Mul", "h j", "i"), wants=""),
            "it reads other than blobs of one shape",
        ),
        (rows(op("Gather", "h which", "i", axis=1), wants="", feeds={"which": np.arange(12)}), "along another axis"),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore::serverquant.CalibrationWarning")
def test_stays_float(case, why):
    result = quantize(*case.nets, case.feeds)
    assert any(why in reason for reason in result.recipe["float"].values()), result.recipe["float"]
    assert sqnr(case.nets, result, case.feeds) > 25


def test_a_function_that_ends_the_net_stays_float():
    for kind in ("Sigmoid", "Tanh"):
        nets = nets_of([conv("x", "h", "w"), core.CreateOperator(kind, ["h"], ["y"])], w=families.W)
        assert quantize(*nets, X).recipe["float"] == {
            "y": f"{kind}: it ends the net: in float it is finer and costs no conversion more"
        }


def test_the_runtime_is_asked(monkeypatch):
    """What it lacks stays float."""
    found = forms.registry.operator_class

    def without_bn(type, engine=""):
        return None if type.startswith("Int8SpatialBN") else found(type, engine)

    monkeypatch.setattr(forms.registry, "operator_class", without_bn)
    case = families.CASES["spatial_bn"]
    result = quantize(*case.nets, case.feeds)
    assert result.recipe["float"]["i"] == "SpatialBN: the runtime has no Int8SpatialBN"
    assert sqnr(case.nets, result, case.feeds) > 30


def test_any_batch_runs():
    """Shapes that the int8 net holds do not hold the batch."""
    for name in ("reshape_and_back", "lstm_unit", "attention", "split", "flatten_of_pixels"):
        case = families.CASES[name]
        result = quantize(*case.nets, case.feeds)
        axes = {"h0": 1, "c0": 1, "time": None}
        fewer = {
            k: v if axes.get(k, 0) is None else v.take([0], axis=axes.get(k, 0)) for k, v in case.feeds.items()
        }  # fmt: skip
        assert sqnr(case.nets, result, fewer) > case.least - 8


def concat_of(relus):
    """The Int8Concat of two layers, each with a Relu or not, and the parameters of all three."""
    ops = [conv("x", "h", "w"), op("Relu", "h", "h2"), conv("x", "g", "v"), op("Relu", "g", "g2")]
    ops = [o for o in ops if o.type == "Conv" or o.input[0] in relus]
    names = [f"{n}2" if n in relus else n for n in "hg"]
    ops.append(op("Concat", " ".join(names), "j j_sizes", axis=1))
    ops.append(op("Slice", "j", "y", starts=[0, 1, 0, 0], ends=[-1] * 4))
    nets = nets_of(ops, w=families.W, v=random(8, 3, 3, 3, seed=9))
    result = quantize(*nets, X, preset="fast")
    assert sqnr(nets, result, {"x": X}) > 30
    made = next(o for o in result.predict.op if o.type == "Int8Concat")
    entries = [result.recipe["blobs"][name] for name in (*names, "j")]
    return made, [(entry["scale"], entry["zero_point"]) for entry in entries]


def test_parts_of_a_concat_take_its_parameters():
    """So that it copies bytes; but a part without negative values would lose half of its range."""
    for relus in ("", "hg"):
        made, params = concat_of(relus)
        assert len(set(params)) == 1
        assert made.engine == ""
    made, params = concat_of("h")
    assert made.engine == "DNNLOWP"
    assert params[1] == params[2] != params[0]
    assert params[0][1] == 0


def test_layers_that_share_a_bias_have_one_each():
    """int32 biases have the scale of their layer."""
    ops = [conv("x", "h", "w", "b"), conv("h", "y", "v", "b")]
    result = quantize(*nets_of(ops, w=families.W, v=random(8, 8, 3, 3), b=random(8)), X)
    biases = [op.input[2] for op in result.predict.op if op.type == "Int8Conv"]
    scales = {op.output[0]: next(a.f for a in op.arg if a.name == "Y_scale") for op in result.init.op}
    assert len({scales[name] for name in biases}) == 2


# ---- operators that declare their int8 form ------------------------------------------------------------------------


def int8(q, scale, zero_point):
    return serverquant.Int8(q, scale, zero_point)


@pytest.fixture
def mirror():
    """MirrorBoth(x, b, n): x + b, and its negative, turned round along the channels n times; b is a constant."""

    @serverquant.register("MirrorBoth", int8="Int8MirrorBoth", replace=True)
    def floats(x, b, n, turns=1):
        y = (x + b.reshape(1, -1, 1, 1))[:, :: -1 if turns % 2 else 1]
        return y, -y, n

    seen = []

    @serverquant.register("Int8MirrorBoth", replace=True)
    def bytes_(x, b, n, turns=1, order="NCHW", Y_scale=1.0, Y_zero_point=0, Y2_scale=1.0, Y2_zero_point=0):
        seen.append((x.data.shape, b.dtype, order, turns))
        y = (dequantize(x.data, QParams(x.scale, x.zero_point)) + b)[..., :: -1 if turns % 2 else 1]
        both = [(y, QParams(Y_scale, Y_zero_point)), (-y, QParams(Y2_scale, Y2_zero_point))]
        return *(int8(quantize_values(np.ascontiguousarray(v), p), p.scale, p.zero_point) for v, p in both), n

    return seen


def test_a_declared_int8_form_takes_part(mirror):
    """Activations as Int8 tensors, NHWC; constants and integers as they are; two outputs, each with its parameters."""
    ops = [
        conv("x", "h", "w"),
        core.CreateOperator("MirrorBoth", ["h", "b", "n"], ["i", "j", "m"], turns=3),
        op("Sum", "i j j", "k"),
        core.CreateOperator("Conv", ["k", "v"], ["y"], kernel=1),
    ]
    feeds = {"x": X, "n": np.arange(3)}
    nets = nets_of(ops, inputs=("x", "n"), outputs=("y", "m"), w=families.W, v=families.V, b=families.NORM["b"])
    result = quantize(*nets, feeds)
    assert types(result)[2:6] == ["Int8Conv", "Int8MirrorBoth", "Int8Sum", "Int8Conv"]
    assert result.recipe["float"] == {}
    assert result.recipe["blobs"]["i"]["scale"] != result.recipe["blobs"]["j"]["scale"] or (
        result.recipe["blobs"]["i"]["zero_point"] != result.recipe["blobs"]["j"]["zero_point"]
    )
    assert sqnr(nets, result, feeds) > 30
    assert mirror[-1] == ((4, 6, 6, 8), np.float32, "NHWC", 3)
    np.testing.assert_array_equal(outputs(result.init, result.predict, **feeds)["m"], feeds["n"])


@pytest.mark.filterwarnings("ignore:.*stays float")
def test_a_declared_form_that_is_missing():
    @serverquant.register("HalfDeclared", int8="Int8NeverRegistered", replace=True)
    def half(x):
        return x / f32(2)

    case = image(op("HalfDeclared", "h", "i"), wants="")
    assert quantize(*case.nets, case.feeds).recipe["float"] == {
        "i": "HalfDeclared: the runtime has no Int8NeverRegistered"
    }


# ---- embeddings -----------------------------------------------------------------------------------------------------

TABLE = random(20, 6, seed=30)
BAG = {"which": np.int64([3, 1, 4, 1, 5, 9, 2, 6]), "lengths": np.int32([2, 0, 5, 1]), "x": random(4, 6, seed=31)}


def bags(type="SparseLengthsSum", table=TABLE, extra=()):
    """A bag of embeddings joined with a layer."""
    feeds = dict(BAG)
    if "Weighted" in type:
        feeds["weights"] = random(8, seed=32)
    reads = ["t", *(["weights"] if "Weighted" in type else []), "which", "lengths"]
    ops = [
        core.CreateOperator(type, reads, ["e"]),
        op("FC", "x w b", "h"),
        op("Concat", "h e", "j j_sizes", axis=1),
        op("FC", "j v c", "y"),
    ]
    weights = {"w": random(6, 6), "b": random(6), "v": random(3, 6 + table.shape[1], seed=1), "c": random(3)}
    return nets_of([*ops, *extra], inputs=tuple(feeds), t=table, **weights), feeds


@pytest.mark.parametrize("type", ["SparseLengthsSum", "SparseLengthsWeightedSum", "SparseLengthsMean"])
@pytest.mark.parametrize(("form", "least"), [("fused8", 30), ("fused4", 18), ("float", 30)])
def test_bags(type, form, least):
    nets, feeds = bags(type)
    result = quantize(*nets, feeds, embeddings=form)
    wants = {"fused8": f"{type}Fused8BitRowwise", "fused4": f"{type}Fused4BitRowwise", "float": type}[form]
    assert types(result)[0] == wants
    assert "Int8Concat" in types(result)
    assert sqnr(nets, result, feeds) > least
    made = {op.output[0]: op.type for op in result.init.op}
    if form == "float":
        assert result.recipe["tables"] == {}
        assert result.recipe["float"] == {"e": f"{type}: embeddings are to stay float"}
    else:
        bits = int(form[-1])
        assert result.recipe["tables"] == {
            f"t_fused{bits}": {"table": "t", "bits": bits, "rows": 20, "columns": 6}
        }  # fmt: skip
        assert made[f"t_fused{bits}"] == "GivenTensorByteStringToUInt8Fill"
        assert "t" not in made  # nothing reads the floats


def test_rows_of_an_odd_length_have_8_bits():
    nets, feeds = bags(table=random(20, 5))
    assert types(quantize(*nets, feeds, embeddings="fused4"))[0] == "SparseLengthsSumFused8BitRowwise"


def test_a_table_is_packed_once():
    twice = core.CreateOperator("SparseLengthsMean", ["t", "which", "lengths"], ["z"])
    nets, feeds = bags(extra=[twice])
    nets[1].external_output.append("z")
    assert [op.output[0] for op in quantize(*nets, feeds).init.op if "Byte" in op.type] == ["t_fused8"]


def test_a_table_alone_is_enough():
    nets = nets_of([core.CreateOperator("Gather", ["t", "which"], ["y"])], inputs=("which",), t=TABLE)
    result = quantize(*nets, {"which": BAG["which"]}, embeddings="fused4")  # which a lookup does not have
    assert types(result) == ["GatherFused8BitRowwise"]
    assert sqnr(nets, result, {"which": BAG["which"]}) > 30


def test_tables_that_stay_float():
    table = TABLE.copy()
    table[19] = np.inf  # no bag reads it
    nets, feeds = bags(table=table)
    assert quantize(*nets, feeds).recipe["float"] == {"e": 'SparseLengthsSum: the table "t" is not finite'}
    with pytest.raises(ArgumentError, match="embeddings is 'fused2'"):
        quantize(*nets, feeds, embeddings="fused2")


# ---- nets -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "stays"),
    [
        ("densenet_tiny", set()),
        ("resnet_eighth", set()),
        ("squeezenet_tiny", set()),
        ("mobilenet_v2_quarter", set()),
        ("sequence", {"Softmax"}),
        ("recommender", {"SparseLengthsSumFused8BitRowwise", "SparseLengthsWeightedSumFused8BitRowwise", "Sigmoid"}),
    ],
)
def test_no_float_islands(name, stays):
    """All between the first conversion and the last is int8, but for what the recipe names."""
    feeds = dict(np.load(NETS / name / "inputs.npz"))
    result = quantize(NETS / name / "init_net.pb", NETS / name / "predict_net.pb", feeds, preset="fast")
    assert {reason.split(":")[0] for reason in result.recipe["float"].values()} == stays
    turns = {"NCHW2NHWC", "NHWC2NCHW", "SparseLengthsSumFused8BitRowwise"} | stays
    assert {kind for kind in types(result) if not kind.startswith("Int8")} <= turns


def test_shuffle_net():
    result = quantize(*families.shuffle_net(), X)
    assert result.recipe["float"] == {}
    assert types(result).count("Int8ChannelShuffle") == 2
    assert sqnr(families.shuffle_net(), result, {"x": X}) > 20
