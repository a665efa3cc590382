"""Wrong nets: one clear error each, which names net, operator, index and blob, what was found and what was expected.

Every case goes through all doors (a workspace, `serverquant.load`, the command line) in every form (.pb, .pbtxt, and a
MetaNetDef where the door takes one). Afterwards the workspace is as it was and works on.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from wrong_operators import CASES, Wrong

import serverquant
from serverquant import core, workspace
from serverquant._base.errors import MissingBlobError, NetError, ParseError, QuantizationError, ServerquantError
from serverquant.blobs.store import Int8
from serverquant.cli import main
from serverquant.proto import MetaNetDef, NetDef, OperatorDef, TensorProto
from serverquant.proto.faults import MAX_NESTING
from serverquant.proto.io import save

FILL = {
    np.dtype(np.float32): "GivenTensorFill",
    np.dtype(np.float64): "GivenTensorDoubleFill",
    np.dtype(np.int32): "GivenTensorIntFill",
    np.dtype(np.int64): "GivenTensorInt64Fill",
    np.dtype(np.int8): "GivenTensorFill",
    np.dtype(object): "GivenTensorStringFill",
}
BEFORE, EARLIER = 7.0, 1.0  # what the blob "earlier" holds before the faulty net's first operator, and after it


@pytest.fixture(autouse=True)
def fresh():
    workspace.SwitchWorkspace("default")
    workspace.ResetWorkspace()


def fill(name: str, value) -> OperatorDef:
    """The operator of an init net that makes the blob."""
    if isinstance(value, Int8):
        narrow = value.data.dtype == np.uint8
        values = value.data.tobytes() if narrow else value.data.ravel().tolist()
        return core.CreateOperator(
            "Int8GivenTensorFill" if narrow else "Int8GivenIntTensorFill",
            [],
            [name],
            shape=value.data.shape,
            values=values,
            Y_scale=float(value.scale),
            Y_zero_point=value.zero_point,
        )
    more = {"dtype": int(TensorProto.INT8)} if value.dtype == np.int8 else {}
    return core.CreateOperator(FILL[value.dtype], [], [name], shape=value.shape, values=value.ravel().tolist(), **more)


def net_of(*ops: OperatorDef, name: str, inputs=()) -> NetDef:
    return NetDef(name=name, op=ops, external_input=inputs)


def faulty_net(case: Wrong) -> NetDef:
    first = core.CreateOperator("ConstantFill", [], ["earlier"], shape=[1], value=EARLIER)
    return net_of(first, case.op, name="faulty", inputs=sorted({*case.op.input, *case.blobs}))


def init_net(case: Wrong) -> NetDef:
    return net_of(*(fill(name, value) for name, value in case.blobs.items()), name="init")


def files(folder: Path, form: str, init: NetDef, predict: NetDef) -> list[str]:
    """The pair of nets in one form; arguments of `load` and of the command line."""
    if form == "meta":
        meta = MetaNetDef()
        for key, net in (("PREDICT_INIT_NET_TYPE", init), ("PREDICT_NET_TYPE", predict)):
            meta.nets.add(key=key).value.CopyFrom(net)
        save(meta, folder / "meta.pb")
        return [str(folder / "meta.pb")]
    for name, net in (("init", init), ("predict", predict)):
        save(net, folder / f"{name}.{form}")
    return [str(folder / f"init.{form}"), str(folder / f"predict.{form}")]


def create_and_run(net) -> None:
    workspace.CreateNet(net)
    workspace.RunNet("faulty")


def check_message(case: Wrong, text: str) -> None:
    assert text.startswith(f'{case.op.type} (op 1 of net "faulty"): '), text
    assert "\n" not in text
    for word in case.says:
        assert word in text


def check_error(case: Wrong, error: ServerquantError) -> None:
    assert type(error) is case.error
    check_message(case, str(error))


# ---- operators ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CASES)
def test_in_a_workspace(name, tmp_path):
    case = CASES[name]
    for form in ("pb", "pbtxt"):
        workspace.ResetWorkspace()
        init, predict = files(tmp_path, form, init_net(case), faulty_net(case))
        if case.blobs:
            workspace.RunNetOnce(init)
        workspace.FeedBlob("earlier", np.float32([BEFORE]))
        before = {blob: workspace.blobs[blob] for blob in case.blobs}
        with pytest.raises(ServerquantError) as caught:
            create_and_run(predict)
        check_error(case, caught.value)
        assert workspace.FetchBlob("earlier").tolist() == [EARLIER if case.late else BEFORE]
        for blob, value in before.items():
            assert repr(workspace.blobs[blob]) == repr(value)
        fine = net_of(core.CreateOperator("Relu", ["earlier"], ["Y"]), name="faulty", inputs=["earlier"])
        workspace.CreateNet(fine, overwrite=True)
        workspace.RunNet("faulty")
        assert workspace.FetchBlob("Y").tolist() == workspace.FetchBlob("earlier").tolist()


@pytest.mark.parametrize("name", CASES)
def test_in_a_predictor(name, tmp_path):
    case = CASES[name]
    missing = set(case.op.input) - set(case.blobs)
    for form in ("pb", "pbtxt", "meta"):
        pair = files(tmp_path, form, init_net(case), faulty_net(case))
        with pytest.raises(ServerquantError) as caught:
            serverquant.load(*pair)()
        if missing:  # what no net makes is for the caller to give
            assert str(caught.value).startswith(f'net "faulty" needs input {", ".join(sorted(missing))}')
            assert "the init net does not make it" in str(caught.value)
        else:
            check_error(case, caught.value)


@pytest.mark.parametrize("name", [name for name in CASES if not CASES[name].op.input])
def test_in_an_init_net(name, tmp_path):
    case = CASES[name]
    fine = net_of(core.CreateOperator("Copy", ["Y"], ["Z"]), name="fine", inputs=["Y"])
    for form in ("pb", "pbtxt", "meta"):
        with pytest.raises(ServerquantError) as caught:
            serverquant.load(*files(tmp_path, form, faulty_net(case), fine))
        check_error(case, caught.value)


@pytest.mark.parametrize("name", CASES)
def test_on_the_command_line(name, tmp_path, capsys):
    case = CASES[name]
    for form in ("pb", "meta"):
        assert main(["run", *files(tmp_path, form, init_net(case), faulty_net(case))]) == 1
        printed = capsys.readouterr()
        assert printed.out == ""
        assert printed.err.count("\n") == 1
        begin = "serverquant run: "
        assert printed.err.startswith(begin)
        if set(case.op.input) <= set(case.blobs):
            check_message(case, printed.err[len(begin) : -1])


# ---- nets --------------------------------------------------------------------------------------------------------


def doors(capsys) -> dict[str, Callable[[str, str], str]]:
    """What opens an init net and a predict net and runs them: door -> function that returns the error's text."""

    def raised(call: Callable[[], object]) -> str:
        with pytest.raises(ServerquantError) as caught:
            call()
        return str(caught.value)

    def by_workspace(init: str, predict: str) -> None:
        workspace.ResetWorkspace()
        workspace.RunNetOnce(init)
        workspace.RunNetOnce(predict)

    def by_command(init: str, predict: str) -> str:
        assert main(["run", init, predict]) == 1
        printed = capsys.readouterr()
        assert printed.out == ""
        assert printed.err.count("\n") == 1
        return printed.err

    return {
        "workspace": lambda init, predict: raised(lambda: by_workspace(init, predict)),
        "load": lambda init, predict: raised(lambda: serverquant.load(init, predict)()),
        "command": by_command,
    }


DOORS = ("workspace", "load", "command")
INIT = net_of(fill("w", np.float32([1, 2])), name="init")
PREDICT = net_of(core.CreateOperator("Relu", ["w"], ["y"]), name="predict", inputs=["w"])


def text_bomb(depth: int) -> bytes:
    return b'op { type: "If" arg { name: "then_net" n { ' * depth + b"} } }" * depth


def binary_bomb(depth: int) -> bytes:
    net = NetDef(op=[OperatorDef(type="Relu")])
    data = net.SerializeToString()
    for _ in range(depth):
        argument = b"\x0a\x08then_net\x42" + varint(len(data)) + data
        op = b"\x22\x02If\x2a" + varint(len(argument)) + argument
        data = b"\x12" + varint(len(op)) + op
    return data


def varint(n: int) -> bytes:
    head = bytearray()
    while n > 0x7F:
        head.append(n & 0x7F | 0x80)
        n >>= 7
    return bytes([*head, n])


WHOLE = INIT.SerializeToString()
FILES = {
    "empty.pb": (b"", "is empty"),
    "empty.pbtxt": (b"", "is empty"),
    "garbage.pb": (bytes(range(200, 256)) * 9, "is not a NetDef, or is damaged"),
    "latin.pbtxt": (b'name: "\xe9"', "is not UTF-8 text (byte 7)"),
    "garbage.pbtxt": (bytes(range(128)), "is not the text of a NetDef"),
    "binary.pbtxt": (WHOLE, "it looks like a binary NetDef (name the file .pb)"),
    "text.pb": (b'op { type: "Relu" input: "w" output: "y" }', "it looks like text (name the file .pbtxt)"),
    "bomb.pb": (binary_bomb(MAX_NESTING), f"messages nest deeper than {MAX_NESTING}"),
    "bigger_bomb.pb": (binary_bomb(3000), "is not a NetDef, or is damaged"),
    "bomb.pbtxt": (text_bomb(MAX_NESTING), f"nests deeper than {MAX_NESTING} messages (line 1)"),
    "bigger_bomb.pbtxt": (text_bomb(100_000), f"nests deeper than {MAX_NESTING} messages (line 1)"),
    "unclosed.pbtxt": (b'op { type: "Relu"', "is not the text of a NetDef"),
    "no_type.pb": (NetDef(op=[OperatorDef(type="Relu"), OperatorDef()]).SerializeToString(), "operator 1 has no type"),
    "meta.pb": (MetaNetDef(nets=[{"key": "k", "value": INIT}]).SerializeToString(), "it looks like a MetaNetDef"),
    **{f"cut_at_{n}.pb": (WHOLE[:n], "is not a NetDef, or is damaged") for n in range(7, len(WHOLE), 5)},
}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("name", FILES)
def test_files_that_are_no_nets(name, door, tmp_path, capsys):
    data, says = FILES[name]
    bad = tmp_path / name
    bad.write_bytes(data)
    init, predict = files(tmp_path, "pb", INIT, PREDICT)
    for pair in ((str(bad), predict), (init, str(bad))):
        text = doors(capsys)[door](*pair)
        assert str(bad) in text
        assert says in text


@pytest.mark.parametrize("name", [name for name in FILES if name != "meta.pb"])
def test_files_that_are_no_meta_nets(name, tmp_path, capsys):
    (tmp_path / name).write_bytes(FILES[name][0])
    with pytest.raises(ParseError, match=name):
        serverquant.load(tmp_path / name)
    assert main(["run", str(tmp_path / name)]) == 1
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("door", DOORS)
def test_a_payload_cut_off_inside_a_fill(door, tmp_path, capsys):
    """The length of the values is past the file's end; the scanner leaves values of this size in the file."""
    whole = net_of(fill("v", np.float32([1])), fill("w", np.ones(500, np.float32)), name="init").SerializeToString()
    bad, predict = tmp_path / "init.pb", files(tmp_path, "pb", INIT, PREDICT)[1]
    for cut in (1, 2, 100, 2000):
        bad.write_bytes(whole[:-cut])
        text = doors(capsys)[door](str(bad), predict)
        assert "operator 1" in text
        assert "are left" in text


@pytest.mark.parametrize("door", DOORS)
def test_weights_that_nobody_made(door, tmp_path, capsys):
    predict = net_of(core.CreateOperator("FC", ["w", "W", "b"], ["y"]), name="predict", inputs=["w", "W", "b"])
    text = doors(capsys)[door](*files(tmp_path, "pb", INIT, predict))
    assert "W" in text
    assert "init net" in text


def test_empty_nets(tmp_path, capsys):
    empty = net_of(name="empty")
    assert workspace.RunNetOnce(empty)  # Caffe2 runs it too
    assert workspace.CreateNet(empty)
    assert workspace.RunNet("empty")
    assert workspace.BenchmarkNet("empty", 0, 1, True)[1:] == []
    pair = files(tmp_path, "pb", INIT, empty)
    with pytest.raises(NetError, match='net "empty" has no operators'):
        serverquant.load(*pair)
    assert main(["run", *pair]) == 1
    assert 'net "empty" has no operators' in capsys.readouterr().err
    with serverquant.load(*files(tmp_path, "pb", empty, net_of(fill("y", np.float32([1])), name="fills"))) as predict:
        assert predict()["y"].tolist() == [1]


def test_unknown_nets_and_removed_blobs():
    workspace.RunNetOnce(INIT)
    workspace.CreateNet(PREDICT)
    workspace.RunNet("predict")
    with pytest.raises(NetError, match=r'no net "predct".*did you mean predict'):
        workspace.RunNet("predct")
    for again in range(2):
        workspace.RemoveBlob("w")
        with pytest.raises(MissingBlobError, match=r'Relu \(op 0 of net "predict"\): input 0 "w" is empty'):
            workspace.RunNet("predict")
        assert workspace.FetchBlob("y").tolist() == [1, 2]
        workspace.RunNetOnce(INIT)
        assert workspace.RunNet("predict"), again


@pytest.mark.parametrize("scale", [0.0, -0.5, float("nan"), float("inf"), 1e-60])
def test_scales_of_fed_blobs(scale):
    with pytest.raises(QuantizationError, match="positive finite number"):
        workspace.FeedInt8Blob("X", np.zeros(2, np.uint8), scale, 0)
    assert not workspace.HasBlob("X") or workspace.current().get("X").is_empty


@pytest.mark.parametrize("zero_point", [-1, 256, 0.5, 2**40])
def test_zero_points_of_fed_blobs(zero_point):
    with pytest.raises(QuantizationError, match=rf"0 to 255, not {zero_point}"):
        workspace.FeedInt8Blob("X", np.zeros(2, np.uint8), 1.0, zero_point)


# ---- the process -------------------------------------------------------------------------------------------------


def test_the_command_ends_with_one_line(tmp_path):
    """A process of its own: exit code 1, one line, no traceback."""
    case = CASES["FC: inner sizes"]
    pair = files(tmp_path, "pbtxt", init_net(case), faulty_net(case))
    done = subprocess.run(
        [sys.executable, "-m", "serverquant.cli", "run", *pair], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "Traceback" not in done.stderr
    check_message(case, done.stderr.removeprefix("serverquant run: ").strip())


LIES = """
import json, resource, sys
import numpy as np
from serverquant import core, workspace
from serverquant._base.errors import MissingBlobError, NetError, ParseError, QuantizationError, ServerquantError
from wrong_operators import CASES, FILLS, Q_FILTER, Q_IMAGE, bias, f32, op, server

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

def answer(operator, **blobs):
    workspace.ResetWorkspace()
    for name, value in blobs.items():
        workspace.FeedBlob(name, value)
    before = peak()
    try:
        workspace.RunOperatorOnce(operator)
        text = "done"
    except ServerquantError as error:
        text = str(error)
    return [text, peak() - before]

if len(sys.argv) > 1:
    limit = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize() + int(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
found = {}
for name, values in FILLS.items():
    if "values" in values:
        for size in (2**28, 2**32, 2**40, 2**60):
            found[f"{name} {size}"] = answer(op(name, shape=[size], **values))
found["Conv"] = answer(op("Conv", "X W", kernel=1, pad=2**20), X=f32(1, 1, 2, 2), W=f32(64, 1, 1, 1))
conv = server("Int8Conv", "X W b", kernel=1, pad=2**20, order="NHWC")
found["Int8Conv"] = answer(conv, X=Q_IMAGE, W=Q_FILTER, b=bias(4))
if len(sys.argv) > 1:
    found["ConstantFill"] = answer(op("ConstantFill", shape=[2**29]))
    found["XavierFill"] = answer(op("XavierFill", shape=[2**29]))
found["after"] = answer(op("Relu", "X"), X=f32(3))
print(json.dumps(found))
"""


@pytest.mark.parametrize("room", [None, 1 << 30])
def test_lies_take_no_memory(room):
    """Claims of gigabytes, in a process that may take any memory, and in one that may take 1 GB more than it has."""
    done = subprocess.run(
        [sys.executable, "-c", LIES, *([] if room is None else [str(room)])],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    assert found.pop("after")[0] == "done"
    for name, (text, grown) in found.items():
        assert "op 0 of net" in text, name
        assert '"Y"' in text or "no memory" in text, (name, text)
        assert grown < 64 << 20, name
