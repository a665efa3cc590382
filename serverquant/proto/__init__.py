"""Caffe2's messages (NetDef, OperatorDef, TensorProto, ...) and what reads and writes them.

::

    descriptors   caffe2.desc -> message classes, in a descriptor pool of our own
    io            path, bytes, text, any object of another runtime -> message, and back
    wire          a net for running: the message, and apart from it the large payloads of fills
    scan          how these are found in the file without reading it as a message
    payload       such a payload: count, dtype, copied into an array when asked
    faults        the limit on nesting; what is wrong with bytes that protobuf refused
    args          an operator's arguments by type; Python value -> Argument
    tensors       TensorProto <-> numpy

This module holds the message classes and enum constants under the names that Caffe2's `caffe2_pb2`, `metanet_pb2` and
`predictor_consts_pb2` have, the short device names (`CPU` for `PROTO_CPU`) included. Its stub lists them.
"""

from __future__ import annotations

from serverquant.proto.descriptors import enum_values, message_classes

__all__ = [*message_classes(), *enum_values()]
globals().update(message_classes(), **enum_values())
