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
    assert run(built["custom_op_native"], "use.py") == "[[2.5 2.5 2.5]\n [2.5 2.5 2.5]]\n" * 2


def test_cython_example(built):
    assert run(built["custom_op_cython"], "softstep.py") == "[0.   0.   0.25 0.5  0.75 1.   1.  ]\n"


@pytest.fixture(scope="module")
def leaky_sum(built):
    sys.path.insert(0, str(built["custom_op_native"]))
    try:
        import leaky_sum
    finally:
        sys.path.pop(0)
    serverquant.register_native(leaky_sum.op, replace=True)
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
