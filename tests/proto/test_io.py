"""Every source and format, and a clear error for what is no net."""

from __future__ import annotations

import os

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from wireforms import delimited, operator, varint

from serverquant import proto
from serverquant._base.errors import ParseError
from serverquant.proto import io
from serverquant.proto.faults import MAX_NESTING
from serverquant.proto.wire import read_net

NET = proto.NetDef(
    name="net",
    op=[
        proto.OperatorDef(type="Relu", input=["x"], output=["y"]),
        proto.OperatorDef(
            type="Clip",
            arg=[proto.Argument(name="min", f=0.1), proto.Argument(name="text", s=b"\x00'\"\\#{<\xff")],
        ),
    ],
)


def test_files(tmp_path):
    for suffix in (".pb", ".pbtxt", ".prototxt", ".PBTXT"):
        path = tmp_path / f"net{suffix}"
        io.save(NET, path)
        assert path.read_bytes().startswith(b'name: "net"') == (suffix != ".pb")
        assert io.load_net(path) == io.load_net(str(path)) == read_net(path).net == NET
    assert sorted(p.suffix for p in tmp_path.iterdir()) == [".PBTXT", ".pb", ".pbtxt", ".prototxt"]


def test_unknown_suffix_is_told_by_the_contents(tmp_path):
    path = tmp_path / "net.txt"
    for text in (True, False):
        io.save(NET, path, text=text)
        assert io.load_net(path) == NET
    commented = b"# a comment { \n\n  # another\n" + io.to_text(NET).encode()
    assert io.load_net(commented) == NET


def test_save_replaces_the_file_and_leaves_nothing_behind(tmp_path):
    path = tmp_path / "net.pb"
    io.save(NET, path)
    mapped = io.open_source(path, proto.NetDef).data
    io.save(proto.NetDef(name="other"), path)
    assert mapped[:] == NET.SerializeToString()
    with pytest.raises(ParseError, match="cannot be serialized"):
        io.save(proto.NetsMap(key="no value"), path)
    assert os.listdir(tmp_path) == ["net.pb"]


def test_pipe(tmp_path):
    read, write = os.pipe()
    os.write(write, NET.SerializeToString())
    os.close(write)
    try:
        assert io.load_net(f"/proc/self/fd/{read}") == NET
    finally:
        os.close(read)


def foreign_class(name: str):
    """A message class of another runtime's pool, with Caffe2's descriptors."""
    pool = descriptor_pool.DescriptorPool()
    for file in proto.descriptors.FILES:
        copy = descriptor_pb2.FileDescriptorProto()
        file.CopyToProto(copy)
        pool.AddSerializedFile(copy.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"caffe2.{name}"))


class Unnamed:
    """An object that is no protobuf message, but gives the bytes of one."""

    def SerializeToString(self):
        return NET.SerializeToString()


class Wrapper:
    def Proto(self):
        return NET


def test_foreign_messages():
    foreign = foreign_class("NetDef").FromString(NET.SerializeToString())
    assert not isinstance(foreign, proto.NetDef)
    for source in (foreign, Unnamed(), Wrapper()):
        assert io.load_net(source) == read_net(source).net == NET
    with pytest.raises(ParseError, match=r"is a caffe2\.MetaNetDef, expected a caffe2\.NetDef"):
        io.load_net(foreign_class("MetaNetDef")())
    with pytest.raises(ParseError, match=r"is a caffe2\.PlanDef, expected a caffe2\.NetDef"):
        io.load_net(proto.PlanDef())


def test_meta_net(tmp_path):
    meta = proto.MetaNetDef(nets=[proto.NetsMap(key="PREDICT_NET_TYPE", value=NET)], blobsOrder=["x"])
    for name in ("meta.pb", "meta.pbtxt"):
        io.save(meta, tmp_path / name)
        assert io.load_meta_net(tmp_path / name) == meta
    with pytest.raises(ParseError, match="looks like a MetaNetDef"):
        io.load_net(meta.SerializeToString())
    with pytest.raises(ParseError, match="looks like a NetDef"):
        io.load_meta_net(NET.SerializeToString())


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the data is empty"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "is not a NetDef, or is damaged"),
        (b"\xff" * 50, "longer than ten bytes"),
        (NET.SerializeToString()[:-3], r"announced at byte \d+.*operator 1\)"),
        (b"hello world", "is not a NetDef"),
        (b"name: 5", "is not the text of a NetDef"),
        (b'op { type: "Relu" ', "is not the text of a NetDef"),
        (b'op { type: "Relu" } nonsense: 3', "nonsense"),
        (b'name: "\xff"', "not UTF-8"),
        (b"op { }", "operator 0 has no type"),
        (operator(kind=""), "operator 0 has no type"),
        (delimited(77, b"abc"), "holds no field of one"),
        (delimited(1, b"\xff\xfe"), "a name is not UTF-8"),
        (operator(delimited(5, delimited(1, b"x") + delimited(10, delimited(11, b"\x08\x01")))), "is missing"),
    ],
)
def test_no_net(data, message, tmp_path):
    with pytest.raises(ParseError, match=message):
        io.load_net(data)
    with pytest.raises(ParseError, match=message):
        read_net(data)
    if data:
        (tmp_path / "net").write_bytes(data)
        with pytest.raises(ParseError, match=f"{tmp_path}/net"):
            io.load_net(tmp_path / "net")


def test_other_faults(tmp_path):
    (tmp_path / "empty.pb").touch()
    with pytest.raises(ParseError, match=r"empty\.pb is empty"):
        read_net(tmp_path / "empty.pb")
    (tmp_path / "text.pb").write_bytes(b'name: "net"\nop { type: "Relu" }\n')
    with pytest.raises(ParseError, match="looks like text"):
        io.load_net(tmp_path / "text.pb")
    with pytest.raises(ParseError, match="a list is no source of a NetDef"):
        io.load_net([NET])
    with pytest.raises(FileNotFoundError):
        io.load_net(tmp_path / "absent.pb")


# ---- nesting ---------------------------------------------------------------------------------------------------------


def nested_steps(depth: int) -> bytes:
    data = b""
    for _ in range(depth):
        data = delimited(2, data)
    return data


def nested_nets(depth: int) -> bytes:
    """A net in an argument of an operator of a net ...: three messages a level."""
    data = delimited(4, b"Relu")
    for _ in range(depth):
        data = delimited(4, b"If") + delimited(5, delimited(1, b"then_net") + delimited(8, delimited(2, data)))
    return delimited(2, data)


def test_one_limit_for_binary_and_text():
    deepest = io.load(nested_steps(MAX_NESTING), proto.ExecutionStep)
    assert io.parse_text(io.to_text(deepest).encode(), proto.ExecutionStep) == deepest
    with pytest.raises(ParseError, match=f"nest deeper than {MAX_NESTING}"):
        io.load(nested_steps(MAX_NESTING + 1), proto.ExecutionStep)
    text = b"substep {" * (MAX_NESTING + 1) + b"}" * (MAX_NESTING + 1)
    with pytest.raises(ParseError, match=rf"nests deeper than {MAX_NESTING} messages \(line 1\)"):
        io.load(text, proto.ExecutionStep)


def test_one_limit_for_nets():
    for read in (io.load_net, lambda data: read_net(data).net):
        assert read(nested_nets(33)).op[0].type == "If"
        with pytest.raises(ParseError, match="operator 0, arg.*" if read is io.load_net else "nest deeper"):
            read(nested_nets(34))


@pytest.mark.parametrize("bracket", [b"{", b"<"])
def test_text_bombs(bracket):
    with pytest.raises(ParseError, match="nests deeper"):
        io.load_net(
            b"op { arg " + bracket + b" n " + (bracket + b" op " + bracket + b" arg " + bracket + b" n ") * 100_000
        )


def test_binary_bomb():
    data = b""
    for _ in range(3_000):
        data = b"\x12" + varint(len(data)) + data
    with pytest.raises(ParseError):
        io.load(data, proto.ExecutionStep)
    with pytest.raises(ParseError):
        read_net(data)


def test_brackets_in_strings_and_comments_are_no_nesting():
    many = b"{" * 500
    quoted = b'name: "' + many + rb"\"" + many + b'" # ' + many + b"\nexternal_input: '" + many + rb"\'" + many + b"'\n"
    net = io.load_net(quoted + b'op { type: "Relu" }')
    assert net.name == "{" * 500 + '"' + "{" * 500
    with pytest.raises(ParseError, match=r"nests deeper than .* \(line 2\)"):
        io.load_net(b'name: "' + many + b"\n" + many)
