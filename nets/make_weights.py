"""Writes the init nets that are too large to ship, from the tables `nets/*/weights.json`: always the same bytes.

    python nets/make_weights.py [NAME ...]          without a name: all that have a table

They go to `build/nets/NAME/init_net.pb`; one that is there with the right size is left alone. Needs numpy only.

A table of an fp32 net lists every weight as [name, dtype, shape, mean, spread]: uniform values with that mean and
standard deviation, or, where the mean is a list, the values themselves. A table of an int8 net names the fp32 case
whose weights it quantizes ("from") and lists its layers as [weight, bias, scale of the layer's input, packing]:
"packing" is null where the weights are stored as uint8, else type and arguments of the operator that packs them.
Random numbers and arithmetic are exact, so the sha256 in `case.json` must come out. The wire format is Caffe2's:
floats one by one, 5 bytes each.
"""

from __future__ import annotations

import hashlib
import json
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

NETS = Path(__file__).resolve().parent
CACHE = NETS.parent / "build" / "nets"
SQRT_12 = 3.4641016  # a uniform distribution of width sqrt(12) has standard deviation 1
FILLS = {"float32": "GivenTensorFill", "int64": "GivenTensorInt64Fill"}


def varint(number: int) -> bytes:
    out, number = bytearray(), number & (1 << 64) - 1
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes(out) + bytes([number])


def field(number: int, data: bytes | str) -> bytes:
    """A length-delimited protobuf field."""
    data = data.encode() if isinstance(data, str) else data
    return varint(number << 3 | 2) + varint(len(data)) + data


def argument(name: str, value: Any) -> bytes:
    """A serialized Argument; the value's Python type picks the field (f, i, s, floats or ints)."""
    head = field(1, name)
    if isinstance(value, float):
        return head + varint(2 << 3 | 5) + struct.pack("<f", value)
    if isinstance(value, int):
        return head + varint(3 << 3) + varint(value)
    if isinstance(value, (bytes, str)):
        return head + field(4, value)
    if isinstance(value, np.ndarray) and value.dtype == np.float32:
        wire = np.empty(value.size, np.dtype([("tag", "u1"), ("value", "<f4")]))
        wire["tag"], wire["value"] = 5 << 3 | 5, value.ravel()
        return head + wire.tobytes()
    return head + b"".join(varint(6 << 3) + varint(int(item)) for item in np.asarray(value).ravel())


def operator(type_: str, inputs: list[str], output: str, args: dict[str, Any], engine: str = "") -> bytes:
    """NetDef.op with one output."""
    parts = [field(1, name) for name in inputs] + [field(2, output)]
    parts += [field(3, "")] if engine else []  # as Caffe2's CreateOperator leaves it
    parts += [field(4, type_)] + [field(5, argument(k, v)) for k, v in args.items()]
    return field(2, b"".join(parts + ([field(7, engine)] if engine else [])))


def fill(type_: str, name: str, array: np.ndarray, **args: Any) -> bytes:
    """The operator that makes a blob of these values."""
    values = array.tobytes() if array.dtype == np.uint8 else array
    return operator(type_, [], name, {"shape": list(array.shape), "values": values, **args})


def weight(row: list[Any], seed: int) -> np.ndarray:
    """The values of one row of an fp32 table."""
    _, dtype, shape, mean, spread = row
    if isinstance(mean, list):
        return np.array(mean, dtype).reshape(shape)
    uniform = np.random.RandomState(seed).random_sample(shape) - 0.5
    return (mean + spread * SQRT_12 * uniform).astype(dtype)


def weights(table: dict[str, Any]) -> Iterator[tuple[str, np.ndarray]]:
    """Name and values of every weight of an fp32 table."""
    for number, row in enumerate(table["weights"]):
        yield row[0], weight(row, table["seed"] + 1000 * number)


def float_net(table: dict[str, Any]) -> bytes:
    """The init net of an fp32 table."""
    fills = [fill(FILLS[array.dtype.name], name, array) for name, array in weights(table)]
    return field(1, table["name"]) + b"".join(fills + [field(8, row[0]) for row in table["weights"]])


def fixed_layer(name: str, bias: str, in_scale: float, w: np.ndarray, b: np.ndarray) -> tuple[list[bytes], list[str]]:
    """Weights as uint8 with one scale and zero point 128, rounded half to even; bias as int32. Operators and blobs."""
    scale = np.float32(max(float(np.abs(w).max()) / 127, 1e-8))
    b_scale = np.float32(in_scale) * scale
    w_int = (np.clip(np.round(w / scale), -127, 127) + 128).astype(np.uint8)
    b_int = np.round(b / b_scale).astype(np.int32)
    return [fill("Int8GivenTensorFill", name, w_int, Y_scale=float(scale), Y_zero_point=128),
            fill("Int8GivenIntTensorFill", bias, b_int, Y_scale=float(b_scale), Y_zero_point=0)], [name, bias]


def packed_layer(layer: list[Any], w: np.ndarray, b: np.ndarray) -> tuple[list[bytes], list[str]]:
    """Float weights and the operator that quantizes and packs them. Operators and blobs made for the predict net."""
    name, bias, in_scale, (type_, args) = layer
    given = {"in_scale": in_scale, **dict(args)}
    pack = operator(type_, [name, bias], f"{name}_packed", given, "DNNLOWP")
    ops, made = [fill("GivenTensorFill", name, w), fill("GivenTensorFill", bias, b), pack], [f"{name}_packed"]
    if type_ == "Int8FCPackWeight":  # the FC takes a bias blob too, though it uses the packed one
        ops.append(fill("GivenTensorFill", f"{bias}_again", b))
        made.append(f"{bias}_again")
    return ops, made


def int8_net(table: dict[str, Any], source: dict[str, Any]) -> bytes:
    """The init net of an int8 table; convolution weights go from M, C, H, W to M, H, W, C."""
    given, ops, made = dict(weights(source)), [field(1, table["name"])], []
    for layer in table["layers"]:
        name, bias, in_scale, packing = layer
        w, b = given[name], given[bias]
        if w.ndim == 4:
            w = np.ascontiguousarray(w.transpose(0, 2, 3, 1))
        layer_ops, blobs = fixed_layer(name, bias, in_scale, w, b) if packing is None else packed_layer(layer, w, b)
        ops += layer_ops
        made += blobs
    return b"".join(ops + [field(8, name) for name in made])


def init_net(name: str) -> bytes:
    """The serialized init net of the case `name`; FileNotFoundError when it has no table."""
    table = json.loads((NETS / name / "weights.json").read_text())
    if "from" not in table:
        return float_net(table)
    return int8_net(table, json.loads((NETS / table["from"] / "weights.json").read_text()))


def written(name: str) -> Path:
    """The path of the init net of the case `name`, written first if it is not there yet."""
    path = CACHE / name / "init_net.pb"
    want = json.loads((NETS / name / "case.json").read_text())["init_net"]
    if path.exists() and path.stat().st_size == want["bytes"]:
        return path
    data = init_net(name)
    if hashlib.sha256(data).hexdigest() != want["sha256"]:
        raise ValueError(f"the weights of {name} came out other than when its answers were made")
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")  # so that a run cut short leaves no half file
    part.write_bytes(data)
    part.replace(path)
    return path


def main() -> None:
    for name in sys.argv[1:] or sorted(path.parent.name for path in NETS.glob("*/weights.json")):
        path = written(name)
        print(f"{path}  {path.stat().st_size / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
