"""Caffe2's names and numbers, from a pool that clashes with nobody's."""

from __future__ import annotations

import ast
import pickle
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf import text_format

from serverquant import proto

ROOT = Path(__file__).resolve().parents[2]


def test_descriptors_are_those_of_the_proto_files():
    source_hash = runpy.run_path(str(ROOT / "proto" / "generate.py"))["source_hash"]
    written = (ROOT / "proto" / "caffe2.desc.sha256").read_text().strip()
    assert written == source_hash(), "the .proto files changed: run make proto"


def test_stub_lists_every_name():
    tree = ast.parse((ROOT / "serverquant" / "proto" / "__init__.pyi").read_text())
    classes = {node.name for node in tree.body if isinstance(node, ast.ClassDef)} - {"_Message"}
    values = {node.target.id for node in tree.body if isinstance(node, ast.AnnAssign)}
    assert classes | values == set(proto.__all__)


def test_names_of_caffe2():
    assert proto.TensorProto.FLOAT == 1
    assert proto.TensorProto.DOUBLE == 13
    assert proto.TensorProto.DataType.Name(12) == "FLOAT16"
    assert (proto.CPU, proto.PROTO_CPU, proto.CUDA, proto.HIP) == (0, 0, 1, 6)
    assert proto.PredictorConsts().META_NET_DEF == "!!META_NET_DEF"
    assert proto.ModelInfo().predictorType == "SINGLE_PREDICTOR"
    assert proto.TensorProto().data_type == proto.TensorProto.FLOAT
    assert proto.QTensorProto().data_type == proto.TensorProto.INT32


@pytest.mark.parametrize(
    ("text", "wire"),
    [
        # Written by hand from the field numbers of Caffe2's files.
        ('name: "n" op { input: "x" output: "y" type: "Relu" }', b"\x0a\x01n\x12\x0c\x0a\x01x\x12\x01y\x22\x04Relu"),
        ('op { arg { name: "a" i: 3 } engine: "E" }', b"\x12\x0a\x2a\x05\x0a\x01a\x18\x03\x3a\x01E"),
        ('arg { floats: 1 floats: 2 }', b"\x32\x0a\x2d\0\0\x80\x3f\x2d\0\0\0\x40"),
        ("arg { ints: 1 ints: 300 }", b"\x32\x05\x30\x01\x30\xac\x02"),
        ("arg { t { float_data: 1 segment { begin: 0 end: 1 } } }",
         b"\x32\x0e\x52\x0c\x1a\x04\0\0\x80\x3f\x5a\x04\x08\x00\x10\x01"),
        ('external_input: "x" external_output: "y"', b"\x3a\x01x\x42\x01y"),
        ("device_option { device_type: 1 random_seed: 5 }", b"\x2a\x04\x08\x01\x18\x05"),
    ],
)  # fmt: skip
def test_wire_form(text, wire):
    message = text_format.Parse(text, proto.NetDef())
    assert message.SerializeToString() == wire
    assert proto.NetDef.FromString(wire) == message


def test_messages_pickle():
    net = proto.NetDef(name="n", op=[proto.OperatorDef(type="Relu")])
    assert pickle.loads(pickle.dumps(net)) == net


CLASH = """
import sys
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

def register():
    file = descriptor_pb2.FileDescriptorProto(name="caffe2/proto/caffe2.proto", package="caffe2")
    field = file.message_type.add(name="NetDef").field.add(name="other", number=1)
    field.type, field.label = field.TYPE_INT32, field.LABEL_OPTIONAL
    pool = descriptor_pool.Default()
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("caffe2.NetDef"))

if sys.argv[1] == "before":
    other = register()
from serverquant import proto
if sys.argv[1] == "after":
    other = register()
assert other(other=3).other == 3
assert proto.NetDef(name="n").name == "n"
assert other is not proto.NetDef
"""


@pytest.mark.parametrize("when", ["before", "after"])
def test_another_caffe2_proto_in_the_process(when):
    subprocess.run([sys.executable, "-c", CLASH, when], check=True, cwd=ROOT)
