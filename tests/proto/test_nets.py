"""The nets of the project: the same bytes when written again, and the payload reader agrees with protobuf."""

from __future__ import annotations

from pathlib import Path

import pytest

from serverquant import proto
from serverquant.proto.args import Arguments
from serverquant.proto.io import load_net, parse_text, to_text
from serverquant.proto.wire import read_net

FILES = sorted((Path(__file__).resolve().parents[2] / "nets").glob("*/*_net.pb"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_net(path):
    data = path.read_bytes()
    net = load_net(path)
    assert net.SerializeToString() == data
    if path.stem == "predict_net":
        assert parse_text(to_text(net).encode(), proto.NetDef) == net
    file = read_net(path)
    assert len(file.net.op) == len(net.op)
    for index, (small, op) in enumerate(zip(file.net.op, net.op)):
        ours, theirs = Arguments(small, file.payloads.get(index)), Arguments(op)
        assert ours.names() == theirs.names()
        assert [ours.value(name) for name in ours.names()] == [theirs.value(name) for name in theirs.names()]
    assert (path.stem == "init_net") == bool(file.payloads)
