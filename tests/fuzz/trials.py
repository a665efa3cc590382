"""Random operators, right and wrong: trial `TYPE/NUMBER` is always the same net on the same blobs.

Even numbers are golden cases of the type with up to three changes, which keeps most of them runnable; odd ones are
drawn from the schema alone. Every trial has a second feed with another batch, so that plans are carried over.
"""

from __future__ import annotations

import functools
import zlib
from dataclasses import dataclass
from typing import Any

import corpus
import numpy as np

from serverquant.blobs.store import Int8
from serverquant.proto import Argument, NetDef, OperatorDef, TensorProto
from serverquant.runtime import registry

SMALL = (-3, -2, -1, 0, 0, 1, 1, 1, 2, 2, 3, 4, 5, 8, 13)
EXTREME = (-(2**63), -(2**40), -(2**31), -100, 100, 2**31 - 1, 2**31, 2**40, 2**62, 2**63 - 1)
FLOATS = (0.0, -0.0, 0.5, 1.0, -1.0, 3.7, 1e-45, 1e38, -1e38, float("nan"), float("inf"), float("-inf"))
TEXTS = (b"", b"NCHW", b"NHWC", b"constant", b"mean", b"relu", b"\xff\xfe", b"x" * 300)
DTYPES = ("float32", "float32", "int64", "int32", "bool", "uint8", "int8", "int16", "uint16", "float16", "float64")
MOST_BYTES = 200_000  # of a golden case's inputs: large cases say no more than small ones, and take longer

Value = Any  # an array, an Int8, or an object array of bytes
Random = np.random.Generator


@dataclass
class Trial:
    """feeds: what is fed before the first and the second run. changed: the index of the operator in question."""

    name: str
    net: NetDef
    init: bytes | None
    feeds: list[dict[str, Value]]
    changed: int = 0

    def __str__(self) -> str:
        fed = [f"run {i}: {name} = {_shown(v)}" for i, feed in enumerate(self.feeds) for name, v in feed.items()]
        return "\n".join([self.name, str(self.net), *fed])


def _shown(value: Value) -> str:
    if isinstance(value, Int8):
        return f"Int8 {value.data.dtype}{value.data.shape} {value.scale} {value.zero_point}"
    return f"{value.dtype}{value.shape} {value.ravel()[:8].tolist()}"


def trial(name: str) -> Trial:
    op_type, number = name.rsplit("/", 1)
    rng = np.random.default_rng([zlib.crc32(op_type.encode()), int(number)])
    cases = golden(op_type)
    if cases and int(number) % 2 == 0:
        made = _changed(name, op_type, cases[rng.integers(len(cases))], rng)
    else:
        made = _drawn(name, op_type, rng)
    if len(made.feeds) < 2:
        made.feeds.append({n: _other_batch(v, rng) for n, v in made.feeds[0].items() if rng.random() < 0.7})
    return made


# ---- golden cases with changes -----------------------------------------------------------------------------------


@functools.cache
def golden(op_type: str) -> list[corpus.Case]:
    """The cases that have such an operator and are small."""
    return _golden().get(op_type, [])


@functools.cache
def _golden() -> dict[str, list[corpus.Case]]:
    found: dict[str, list[corpus.Case]] = {}
    known = set(registry.types())
    for case in corpus.cases():
        size = sum(_nbytes(v) for v in case.steps()[0].inputs.values()) + len(case.init or b"")
        types = {op for op, _ in corpus.operators(case.net)}
        if size <= MOST_BYTES and types <= known:
            for op_type in types:
                found.setdefault(op_type, []).append(case)
    return found


def _nbytes(value: corpus.Value) -> int:
    return len(value) * 8 if isinstance(value, list) else getattr(value, "data", value).nbytes


def _changed(name: str, op_type: str, case: corpus.Case, rng: Random) -> Trial:
    net = NetDef.FromString(case.net)
    at = next(i for i, op in enumerate(net.op) if op.type == op_type)
    steps = case.steps()[:3]
    feeds = [{n: _ours(v) for n, v in step.inputs.items()} for step in steps]
    made = Trial(name, net, case.init, feeds, at)
    for _ in range(rng.integers(0, 4)):
        if rng.random() < 0.55 and feeds[0]:
            target = sorted(feeds[0])[rng.integers(len(feeds[0]))]
            feeds[0][target] = _change_value(feeds[0][target], rng)
        else:
            _change_operator(net.op[at], registry.schema(op_type), rng)
    return made


def _ours(value: corpus.Value) -> Value:
    if isinstance(value, corpus.Int8):
        return Int8(*value)
    return np.array(value, object) if isinstance(value, list) else value


def _change_operator(op: OperatorDef, schema: Any, rng: Random) -> None:
    kind = rng.integers(10)
    if kind < 3 and op.arg:
        _change_argument(op.arg[rng.integers(len(op.arg))], rng)
    elif kind < 6 and schema.args:
        _set(op, *_argument(sorted(schema.args)[rng.integers(len(schema.args))], schema, rng))
    elif kind == 6 and op.arg:
        del op.arg[rng.integers(len(op.arg))]
    elif kind == 7 and op.input and op.output:  # in place
        op.output[rng.integers(len(op.output))] = op.input[rng.integers(len(op.input))]
    elif kind == 8 and op.input:  # one blob for two inputs
        op.input[rng.integers(len(op.input))] = op.input[rng.integers(len(op.input))]
    elif kind == 9:
        names = [op.input, op.output][rng.integers(2)]
        if names and rng.random() < 0.5:
            del names[-1]
        else:
            names.append(f"more{len(names)}")
    else:
        op.engine = ("", "DNNLOWP", "DNNLOWP_ROWWISE", "CUDNN")[rng.integers(4)]


def _set(op: OperatorDef, argument: Argument) -> None:
    kept = [a for a in op.arg if a.name != argument.name]
    del op.arg[:]
    op.arg.extend([*kept, argument])


def _change_argument(argument: Argument, rng: Random) -> None:
    for field, draw in (("ints", _int), ("floats", _float)):
        values = getattr(argument, field)
        if len(values):
            if rng.random() < 0.3:
                values.append(draw(rng))
            elif rng.random() < 0.3:
                del values[rng.integers(len(values))]
            else:
                values[rng.integers(len(values))] = draw(rng)
            return
    if argument.HasField("i"):
        argument.i = _int(rng)
    elif argument.HasField("f"):
        argument.f = _float(rng)
    elif argument.HasField("s"):
        argument.s = TEXTS[rng.integers(len(TEXTS))] if rng.random() < 0.7 else argument.s[:-1]


# ---- operators from their schema ---------------------------------------------------------------------------------


def _drawn(name: str, op_type: str, rng: Random) -> Trial:
    schema = registry.schema(op_type)
    engines = registry.engines(op_type)
    engine = engines[rng.integers(len(engines))] if rng.random() < 0.95 else "CUDNN"
    op = OperatorDef(type=op_type, engine=engine)
    op.input.extend(f"in{i}" for i in range(_count(schema.inputs, rng)))
    op.output.extend(f"out{i}" for i in range(_count(schema.outputs, rng)))
    for argument in sorted(schema.args):
        if rng.random() < 0.35:
            op.arg.append(*_argument(argument, schema, rng))
    if rng.random() < 0.1 and op.input and op.output:
        op.output[0] = op.input[0]
    base = tuple(int(d) for d in rng.choice([0, 1, 1, 2, 2, 3, 3, 4, 5, 8, 17], rng.choice([0, 1, 2, 2, 3, 4, 4, 5])))
    takes = _takes(op_type, engine)
    feeds = {n: _value(_dims(base, rng), takes[min(i, len(takes) - 1)], rng) for i, n in enumerate(op.input)}
    return Trial(name, NetDef(name="drawn", op=[op]), None, [feeds])


def _takes(op_type: str, engine: str) -> tuple[str, ...]:
    takes = getattr(registry.operator_class(op_type, engine), "takes", "any")
    return (takes,) if isinstance(takes, str) else tuple(takes)


def _count(limits: tuple[int, int], rng: Random) -> int:
    least, most = limits
    count = int(rng.integers(least, min(most, least + 4) + 1))
    return max(0, count + int(rng.choice([-1, 1]))) if rng.random() < 0.05 else count


def _argument(name: str, schema: Any, rng: Random) -> tuple[Argument]:
    """An Argument of that name, of the kind that the schema wants or, sometimes, of another."""
    kinds = ("int", "float", "bool", "string", "ints", "floats", "strings", "tensor", "net", "nothing")
    kind = schema.args[name].kind if rng.random() < 0.93 else kinds[rng.integers(len(kinds))]
    argument = Argument(name=name)
    n = int(rng.integers(0, 6))
    if kind == "payload":
        kind = ("ints", "floats", "strings", "string", "int", "float")[rng.integers(6)]
    if kind == "int":
        argument.i = _int(rng)
    elif kind == "bool":
        argument.i = int(rng.integers(0, 2))
    elif kind == "float":
        argument.f = _float(rng)
    elif kind in ("string", "bytes"):
        argument.s = TEXTS[rng.integers(len(TEXTS))]
    elif kind == "ints":
        argument.ints.extend(_int(rng) for _ in range(n))
    elif kind == "floats":
        argument.floats.extend(_float(rng) for _ in range(n))
    elif kind == "strings":
        argument.strings.extend(TEXTS[rng.integers(len(TEXTS))] for _ in range(n))
    elif kind == "tensor":
        argument.t.CopyFrom(TensorProto(dims=[n], data_type=TensorProto.FLOAT, float_data=[1.0] * n))
    elif kind in ("net", "nets"):
        argument.n.CopyFrom(NetDef(name="inner", op=[OperatorDef(type="Relu", input=["in0"], output=["in0"])]))
    return (argument,)


def _int(rng: Random) -> int:
    return int(SMALL[rng.integers(len(SMALL))] if rng.random() < 0.85 else EXTREME[rng.integers(len(EXTREME))])


def _float(rng: Random) -> float:
    return float(FLOATS[rng.integers(len(FLOATS))] if rng.random() < 0.6 else rng.normal() * 3)


# ---- values ------------------------------------------------------------------------------------------------------


def _dims(base: tuple[int, ...], rng: Random) -> tuple[int, ...]:
    """Dims that may fit those of the other inputs."""
    kind = rng.integers(8)
    if kind < 3:
        return base
    if kind == 3:
        return base[:1]
    if kind == 4:
        return base[-1:]
    if kind == 5:
        return base[1:]
    return tuple(int(d) for d in rng.choice([0, 1, 2, 3, 5], rng.integers(0, 5)))


def _value(dims: tuple[int, ...], takes: str, rng: Random) -> Value:
    words = takes.split("|")
    word = words[rng.integers(len(words))] if rng.random() < 0.9 else "any"
    if word.startswith("int8:"):
        return _int8(_array(dims, word[5:], rng), rng)
    if word == "int8" or (word == "any" and rng.random() < 0.1):
        kind = rng.choice(["uint8", "uint8", "uint8", "uint8", "int32", "uint16"])
        return _int8(_array(dims, str(kind), rng), rng)
    if word in ("float", "any"):
        word = "float32" if word == "float" else str(DTYPES[rng.integers(len(DTYPES))])
    word = {"double": "float64", "byte": "uint8"}.get(word, word)
    if word in ("string", "object") or (takes == "any" and rng.random() < 0.04):
        return np.array([b"ab"] * int(np.prod(dims)), object).reshape(dims)
    return _array(dims, word, rng)


def _int8(data: np.ndarray, rng: Random) -> Int8:
    scale = float(rng.choice([0.02, 0.5, 1.0, 1e-38, 1e38]))
    return Int8(data, scale, int(rng.integers(0, 256)))


def _array(dims: tuple[int, ...], dtype: str, rng: Random) -> np.ndarray:
    kind = np.dtype(dtype).kind
    if kind == "f":
        array = rng.normal(size=dims) * 3
        if rng.random() < 0.15 and array.size:
            array.flat[rng.integers(array.size)] = FLOATS[rng.integers(len(FLOATS))]
        with np.errstate(over="ignore"):
            return array.astype(dtype)
    array = rng.integers(0, int(rng.choice([2, 3, 6, 127])), dims)
    if kind in "iu" and rng.random() < 0.2 and array.size:
        info = np.iinfo(dtype)
        array = array.astype(dtype)
        array.flat[rng.integers(array.size)] = rng.choice([info.min, info.max, info.max // 2 + 1])
        return array
    if kind == "i" and rng.random() < 0.2:
        array = array - 2
    return array.astype(dtype)


def _change_value(value: Value, rng: Random) -> Value:
    """The value with other dims, another type, or other elements."""
    if isinstance(value, Int8):
        if rng.random() < 0.5:
            return _int8(value.data, rng)
        data = _change_value(value.data, rng)
        if isinstance(data, Int8):
            return data
        return Int8(data, value.scale, value.zero_point) if data.dtype in (np.uint8, np.int32, np.uint16) else data
    kind = rng.integers(7)
    dims = list(value.shape)
    if kind == 0 and dims:
        dims[rng.integers(len(dims))] = int(rng.choice([0, 1, 2, 3, 7]))
    elif kind == 1:
        dims.insert(rng.integers(len(dims) + 1), int(rng.choice([0, 1, 2])))
    elif kind == 2 and dims:
        del dims[rng.integers(len(dims))]
    elif kind == 3 and value.dtype != object:
        if rng.random() < 0.2:
            return _int8(value.astype(np.uint8), rng)
        with np.errstate(all="ignore"):
            return value.astype(str(DTYPES[rng.integers(len(DTYPES))]))
    elif value.dtype != object and value.size:
        changed, other = value.copy(), _array((1,), str(value.dtype), rng)[0]
        if value.dtype.kind in "iu" and rng.random() < 0.5:
            other = np.array(EXTREME[rng.integers(len(EXTREME))], np.int64).astype(value.dtype)
        changed.flat[rng.integers(value.size)] = other
        return changed
    return np.resize(value, dims) if value.size or 0 in dims else np.zeros(dims, value.dtype)


def _other_batch(value: Value, rng: Random) -> Value:
    if isinstance(value, Int8):
        return Int8(_other_batch(value.data, rng), value.scale, value.zero_point)
    if not value.ndim or not value.size:
        return value
    return np.resize(value, (int(rng.choice([0, 1, 2, 3, 9])), *value.shape[1:]))
