"""The examples of custom operators, built as outside packages and run; what is refused."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import serverquant
from serverquant import core, workspace
from serverquant._base.errors import ArgumentError, MachineError, NetError, ServerquantError, ShapeError

ROOT = Path(__file__).resolve().parents[2]


def run(folder: Path, *arguments: str) -> str:
    paths = os.pathsep.join([str(folder), str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Folder of an example, copied and compiled there."""
    pytest.importorskip("Cython")
    pytest.importorskip("setuptools")
    found = {}
    for name in ("custom_op_native", "custom_op_cython"):
        found[name] = tmp_path_factory.mktemp("build") / name
        shutil.copytree(ROOT / "examples" / name, found[name])
        run(found[name], "setup.py", "-q", "build_ext", "--inplace")
    return found


def test_python_example():
    output = run(ROOT / "examples/custom_op_python", "custom_op_python.py")
    assert output.count("[") == 5


def test_int8_example():
    types, near = run(ROOT / "examples/custom_op_int8", "custom_op_int8.py").splitlines()
    assert types == str(["Int8Quantize", "Int8FC", "Int8Bump", "Int8FC"])
    assert 20 < int(near.split()[0]) < 60


def test_native_example(built):
    *values, types, near = run(built["custom_op_native"], "use.py").splitlines()
    assert values == ["[[2.5 2.5 2.5]", " [2.5 2.5 2.5]]"] * 2
    assert types == str(["Int8Quantize", "Int8FC", "Int8FC", "Int8LeakySum", "Int8Dequantize"])
    assert 30 < int(near.split()[0]) < 60


def test_cython_example(built):
    assert run(built["custom_op_cython"], "softstep.py") == "[0.   0.   0.25 0.5  0.75 1.   1.  ]\n"


@pytest.fixture(scope="module")
def leaky_sum(built):
    sys.path.insert(0, str(built["custom_op_native"]))
    try:
        import leaky_sum
    finally:
        sys.path.pop(0)
    serverquant.register_native(leaky_sum.op, replace=True, int8="Int8LeakySum")
    serverquant.register_native(leaky_sum.int8_op, replace=True)
    return leaky_sum


def feed(*shapes):
    workspace.ResetWorkspace()
    for i, shape in enumerate(shapes):
        workspace.FeedBlob(f"x{i}", np.arange(np.prod(shape), dtype=np.float32).reshape(shape))
    return [f"x{i}" for i in range(len(shapes))]


def test_a_native_operator_takes_other_batches_without_planning(leaky_sum):
    net = core.Net("net")
    net.LeakySum(feed((2, 3), (2, 3)), "y")
    workspace.CreateNet(net)
    for rows in (2, 5, 1, 0):
        for name in ("x0", "x1"):
            workspace.FeedBlob(name, np.ones((rows, 3), np.float32))
        workspace.RunNet(net)
        assert workspace.FetchBlob("y").tolist() == [[1.5] * 3] * rows


def test_a_native_operator_in_place_and_in_a_net_inside(leaky_sum):
    names = feed((4,), (4,))
    inner = core.Net("inner")
    inner.LeakySum(names, "x0", alpha=1.0)
    outer = core.Net("outer")
    outer.If("yes", "x0", then_net=inner.Proto())
    workspace.FeedBlob("yes", np.array(True))
    workspace.RunNetOnce(outer)
    assert workspace.FetchBlob("x0").tolist() == [0, 2, 4, 6]


def test_errors_of_a_native_operator_name_its_place(leaky_sum):
    net = core.Net("net")
    net.LeakySum(feed((2, 3), (2, 2)), "y")
    with pytest.raises(ShapeError, match=r'LeakySum \(op 0 of net "net.*input 1 has 4 elements, input 0 has 6'):
        workspace.RunNetOnce(net)
    wrong = core.Net("wrong")
    wrong.LeakySum(["x0", "x0"], "y", alpha=-1.0)
    with pytest.raises(ServerquantError, match=r"LeakySum .*argument alpha is -1; expected 0 or more"):
        workspace.CreateNet(wrong)
    kind = core.Net("kind")
    kind.LeakySum(["x0", "x0"], "y", alpha="much")
    with pytest.raises(ArgumentError, match=r'LeakySum .*argument "alpha" holds a string'):
        workspace.CreateNet(kind)
    few = core.Net("few")
    few.LeakySum(["x0"], "y")
    with pytest.raises(NetError, match="takes 2 to 31 inputs, not 1"):
        workspace.CreateNet(few)


def test_an_operator_compiled_for_another_abi_is_refused(leaky_sum):
    new = ctypes.pythonapi.PyCapsule_New
    new.restype, new.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
    structure = (ctypes.c_uint32 * 64)(99, 8)
    capsule = new(ctypes.addressof(structure), b"serverquant.sq_op", None)
    with pytest.raises(MachineError, match=r"compiled for abi 99 \(8 bytes\).*compile it again"):
        serverquant.register_native(capsule)


def test_what_is_no_operator_is_refused(leaky_sum):
    with pytest.raises(NetError, match="takes a PyCapsule named"):
        serverquant.register_native(object())
    with pytest.raises(NetError, match="registered already"):
        serverquant.register_native(leaky_sum.op)


# ---- the int8 form of a native operator ------------------------------------------------------------------------------


def feed_int8(scale: float, zero_point: int, *values) -> list[str]:
    workspace.ResetWorkspace()
    for i, value in enumerate(values):
        workspace.FeedInt8Blob(f"x{i}", np.array(value, np.uint8), scale * (i + 1), zero_point + i)
    return [f"x{i}" for i in range(len(values))]


def leaky_sum_of(scale, zero_point, *inputs, alpha=0.5):
    """By its definition."""
    first, *others = (np.float32(x.scale) * (x.data.astype(np.float32) - x.zero_point) for x in inputs)
    real = first + np.float32(alpha) * np.sum(others, axis=0, dtype=np.float32)
    return np.clip(np.rint(real / np.float32(scale)) + zero_point, 0, 255).astype(np.uint8)


def test_native_operators_compute_on_int8_tensors(leaky_sum):
    net = core.Net("net")
    values = np.random.default_rng(1).integers(0, 256, (3, 40, 5))
    net.Int8LeakySum(feed_int8(0.02, 120, *values), "y", Y_scale=0.05, Y_zero_point=100)
    workspace.CreateNet(net)
    for rows in (40, 7, 0, 40):
        for i in range(3):
            x = workspace.FetchInt8Blob(f"x{i}")
            workspace.FeedInt8Blob(f"x{i}", values[i, :rows].astype(np.uint8), x.scale, x.zero_point)
        workspace.RunNet(net)
        want = leaky_sum_of(0.05, 100, *map(workspace.FetchInt8Blob, ("x0", "x1", "x2")))
        y = workspace.FetchInt8Blob("y")
        assert (y.scale, y.zero_point, y.data.dtype) == (np.float32(0.05), 100, np.uint8)
        np.testing.assert_array_equal(y.data, want)


def test_native_operators_of_int8_tensors_in_place(leaky_sum):
    names = feed_int8(0.1, 10, [10, 60, 200], [11, 11, 13])
    before = [workspace.FetchInt8Blob(name) for name in names]
    net = core.Net("net")
    net.Int8LeakySum(names, "x0", Y_scale=0.2, Y_zero_point=3)
    workspace.RunNetOnce(net)
    np.testing.assert_array_equal(workspace.FetchInt8Blob("x0").data, leaky_sum_of(0.2, 3, *before))


@pytest.mark.parametrize("kind", ["", "planned", "dag"])
def test_a_native_operator_takes_part_when_a_net_is_quantized(leaky_sum, kind):
    """Between int8 layers, with the parameters that calibration chose, and the float operator's own arguments."""
    random = np.random.default_rng(2)
    init, net = core.Net("init"), core.Net("net")
    for name, shape in {"w1": (24, 12), "b1": (24,), "w2": (24, 12), "b2": (24,), "w3": (6, 24), "b3": (6,)}.items():
        init.GivenTensorFill([], name, shape=shape, values=random.normal(size=shape).astype(np.float32).ravel())
    net.AddExternalInput("x")
    sums = net.LeakySum([net.FC(["x", "w1", "b1"], "h"), net.FC(["x", "w2", "b2"], "i")], "sum", alpha=0.75)
    net.AddExternalOutput(net.FC([sums, "w3", "b3"], "y"))
    net.Proto().type = kind
    x = random.normal(size=(100, 12)).astype(np.float32)
    made = serverquant.quantize(init, net, x)
    types = [op.type for op in made.predict.op]
    assert types == ["Int8Quantize", "Int8FC", "Int8FC", "Int8LeakySum", "Int8FC"]
    given = {a.name: a.f or a.i for a in made.predict.op[3].arg}
    assert given["alpha"] == 0.75
    chosen = made.recipe["blobs"]["sum"]
    assert (given["Y_scale"], given.get("Y_zero_point", 0)) == (chosen["scale"], chosen["zero_point"])
    with serverquant.load(made.init, made.predict, keep_blobs=True) as run_int8:
        got = run_int8(x=x[:20])["y"]
        h, i, total = (run_int8.fetch(name) for name in made.predict.op[3].input[:2] + made.predict.op[3].output[:1])
    np.testing.assert_array_equal(total.data, leaky_sum_of(total.scale, total.zero_point, h, i, alpha=0.75))
    want = serverquant.load(init, net)(x=x[:20])["y"]
    assert np.linalg.norm(want - got) < 0.05 * np.linalg.norm(want)


def test_without_an_int8_form_a_native_operator_stays_float(leaky_sum):
    serverquant.register_native(leaky_sum.op, replace=True)
    try:
        init, net = core.Net("init"), core.Net("net")
        init.GivenTensorFill([], "w", shape=(4, 4), values=np.eye(4, dtype=np.float32).ravel())
        init.ConstantFill([], "b", shape=(4,), value=0.5)
        net.AddExternalInput("x")
        h = net.FC(["x", "w", "b"], "h")
        net.AddExternalOutput(net.LeakySum([h, h], "y"))
        made = serverquant.quantize(init, net, np.eye(4, dtype=np.float32))
        assert "LeakySum" in [op.type for op in made.predict.op]
    finally:
        serverquant.register_native(leaky_sum.op, replace=True, int8="Int8LeakySum")


def test_errors_of_an_int8_form(leaky_sum):
    with pytest.raises(TypeError, match=r"int8.*expected str"):
        serverquant.register_native(leaky_sum.op, replace=True, int8=leaky_sum.int8_op)
    with pytest.raises(NetError, match="registered already"):
        serverquant.register_native(leaky_sum.op, int8="Int8LeakySum")
    with pytest.raises(NetError, match=r"operator LeakySum has a schema.*Int8Other cannot become that of one of its"):
        serverquant.register("LeakySum", engine="OTHER", int8="Int8Other")(lambda x, y: x)
    names = feed_int8(0.1, 0, [1, 2], [3, 4])
    workspace.FeedBlob("x", np.ones(2, np.float32))
    for inputs, arguments, text in (
        ([names[0], "x"], {}, r"Int8LeakySum .*input 1 is no Int8 tensor"),
        (names, {"Y_scale": -1.0}, r"Int8LeakySum .*Y_scale is -1"),
        (names, {"Y_zero_point": 300}, r"Int8LeakySum .*Y_zero_point 300"),
    ):
        net = core.Net("wrong")
        net.Int8LeakySum(inputs, "y", **arguments)
        with pytest.raises(ServerquantError, match=text):
            workspace.RunNetOnce(net)
