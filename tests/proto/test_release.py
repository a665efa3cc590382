"""Large values of a mapped file leave memory once they are copied, and come back when they are read again."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from serverquant import core
from serverquant.proto.args import Arguments
from serverquant.proto.io import save
from serverquant.proto.wire import read_net

STATUS = Path("/proc/self/status")


def resident_file_bytes() -> int:
    return int(re.search(r"RssFile:\s+(\d+) kB", STATUS.read_text())[1]) * 1024


@pytest.mark.skipif("RssFile" not in STATUS.read_text(), reason="needs Linux's count of mapped pages")
def test_copied_values_leave_memory(tmp_path):
    values = np.arange(4_000_000, dtype=np.float32)
    net = core.Net("fills")
    net.GivenTensorFill([], "w", shape=[values.size], values=values)
    save(net.Proto(), tmp_path / "n.pb")
    before = resident_file_bytes()
    file = read_net(tmp_path / "n.pb")
    payload = Arguments(file.net.op[0], file.payloads[0]).payload("values")
    out = np.zeros(values.size, np.float32)
    for _ in range(2):
        payload.copy_into(out)
        np.testing.assert_array_equal(out, values)
        out[:] = 0
    assert resident_file_bytes() - before < 4_000_000
