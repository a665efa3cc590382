"""Nets for running: the message, and apart from it the large payloads that were left on the wire."""

from __future__ import annotations

from typing import Any, NamedTuple

from serverquant import proto
from serverquant._base.errors import ParseError
from serverquant.proto import io
from serverquant.proto.faults import Malformed
from serverquant.proto.payload import Payload
from serverquant.proto.scan import cut_net


class NetFile(NamedTuple):
    """A net whose large payloads are not in the message: `payloads[operator index][argument name]`.

    Such an argument is in the message with its name alone. Operators without payloads have no entry.
    """

    net: proto.NetDef
    payloads: dict[int, dict[str, Payload]]


def read_net(source: Any) -> NetFile:
    """The net of any source (see `io`) for running it, apart from the source from now on.

    The values of large fills are left in the mapped file or the bytes (see `scan`), of text in the message. ParseError
    where it is not a NetDef.
    """
    opened = io.open_source(source, proto.NetDef)
    if opened.is_text:
        return NetFile(io.load_opened(opened, proto.NetDef), {})
    data = opened.data if opened.message is None else io.serialized(opened.message)
    try:
        small, payloads = cut_net(data)
        return NetFile(io.parse(small, proto.NetDef, opened.label), payloads)
    except (Malformed, ParseError):
        # Parsed as it is: the verdict is protobuf's, and an error names the place in the file.
        return NetFile(io.parse(bytes(data), proto.NetDef, opened.label), {})
