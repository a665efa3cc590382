"""Counters, locks and timers: objects in blobs, and the operators on them."""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np

from serverquant import proto
from serverquant._base.errors import ArgumentError, DTypeError
from serverquant.blobs import dtypes
from serverquant.blobs._blob import Blob
from serverquant.blobs.serialize import add_reader
from serverquant.blobs.spec import TENSOR, Spec
from serverquant.ops.control import schema  # noqa: F401
from serverquant.ops.stats.stats import THE_PROCESS
from serverquant.proto.tensors import from_numpy, to_numpy
from serverquant.runtime._plan import PythonStep, Step
from serverquant.runtime.operator import Operator, PythonOperator
from serverquant.runtime.registry import register


class Counter:
    """A number that several threads may change."""

    # What Caffe2 calls it in files.
    TYPE = "std::unique_ptr<Counter<int64_t>>"

    def __init__(self, count: int = 0):
        self._count = count
        self._lock = threading.Lock()

    def add(self, change: int) -> int:
        """Change it; returns what it was."""
        with self._lock:
            before = self._count
            self._count += change
        return before

    def set(self, count: int) -> int:
        """Set it; returns what it was."""
        with self._lock:
            before, self._count = self._count, count
        return before

    @property
    def count(self) -> int:
        return self._count

    def to_blob(self) -> Any:
        message = proto.BlobProto(type=self.TYPE)
        message.tensor.CopyFrom(from_numpy(np.array([self._count])))
        return message

    @classmethod
    def from_blob(cls, message: Any) -> Counter:
        return cls(int(to_numpy(message.tensor)[0]))

    def __repr__(self) -> str:
        return f"<counter at {self._count}>"


add_reader(Counter.TYPE, Counter.from_blob)


class Mutex:
    def __init__(self) -> None:
        self.lock = threading.Lock()


class AtomicBool:
    def __init__(self) -> None:
        self.value = False


class Timer:
    def __init__(self) -> None:
        self.begin: int | None = time.perf_counter_ns()

    def elapsed(self) -> int:
        if self.begin is None:
            raise ArgumentError("the timer has ended")
        return time.perf_counter_ns() - self.begin


class StateOperator(PythonOperator):
    """An operator whose input 0 is an object: `state`, the class of it; `gives`, the data type of its outputs."""

    state: type = object
    gives = dtypes.INT64

    def output_type(self, ins: list[Spec], i: int) -> tuple[int, int]:
        return self.gives, TENSOR

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        if not isinstance(inputs[0], self.state):
            raise DTypeError(
                f'input 0 "{self.inputs[0]}" holds a {type(inputs[0]).__name__}; expected a {self.state.__name__}'
            )
        result = self.on(inputs[0], *inputs[1:])
        for output in outputs:
            output[...] = result

    def on(self, state: Any, *more: Any) -> Any:
        raise NotImplementedError


class Maker(Operator):
    """An operator that makes an object, of the class `makes`."""

    makes: type = object

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        return PythonStep(self.call)

    def call(self, inputs: list[Blob], outputs: list[Blob]) -> None:
        outputs[0].feed_object(self.make())

    def make(self) -> Any:
        return self.makes()


@register("CreateMutex")
class CreateMutex(Maker):
    makes = Mutex


@register("CreateAtomicBool")
class CreateAtomicBool(Maker):
    makes = AtomicBool


@register("TimerBegin")
class TimerBegin(Maker):
    makes = Timer


# ---- counters ------------------------------------------------------------------------------------------------------


@register("CreateCounter")
class CreateCounter(Maker):
    def setup(self) -> None:
        if self.args.init_count < 0:
            raise ArgumentError(f"argument init_count is {self.args.init_count}; expected 0 or more")

    def make(self) -> Counter:
        return Counter(self.args.init_count)


@register("ResetCounter")
class ResetCounter(StateOperator):
    state = Counter

    def setup(self) -> None:
        if self.args.init_count < 0:
            raise ArgumentError(f"argument init_count is {self.args.init_count}; expected 0 or more")

    def on(self, state: Counter) -> int:
        return state.set(self.args.init_count)


@register("CountUp")
class CountUp(StateOperator):
    state = Counter

    def on(self, state: Counter) -> int:
        return state.add(1)


@register("CountDown")
class CountDown(StateOperator):
    state, gives = Counter, dtypes.BOOL

    def on(self, state: Counter) -> bool:
        return state.add(-1) <= 0


@register("CheckCounterDone")
class CheckCounterDone(StateOperator):
    state, gives = Counter, dtypes.BOOL

    def on(self, state: Counter) -> bool:
        return state.count <= 0


@register("RetrieveCount")
class RetrieveCount(StateOperator):
    state = Counter

    def on(self, state: Counter) -> int:
        return state.count


# ---- under a lock --------------------------------------------------------------------------------------------------


class Locked(PythonOperator):
    def one(self, value: np.ndarray, i: int) -> int:
        if value.size != 1:
            raise DTypeError(f'input {i} "{self.inputs[i]}" has {value.size} elements; expected one')
        return int(value.reshape(-1)[0])

    def mutex(self, value: Any) -> Any:
        if not isinstance(value, Mutex):
            raise DTypeError(f'input 0 "{self.inputs[0]}" holds a {type(value).__name__}; expected a mutex')
        return value.lock


class FetchAdd(Locked):
    takes: Any = ("object", "int32", "int32")
    gives = dtypes.INT32

    def output_type(self, ins: list[Spec], i: int) -> tuple[int, int]:
        return self.gives, TENSOR

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        with self.mutex(inputs[0]):
            before = self.one(inputs[1], 1)
            outputs[0][...] = (inputs[1] + inputs[2].dtype.type(self.one(inputs[2], 2))).reshape(outputs[0].shape)
            outputs[1][...] = before


@register("AtomicFetchAdd")
class AtomicFetchAdd(FetchAdd):
    pass


@register("AtomicFetchAdd64")
class AtomicFetchAdd64(FetchAdd):
    takes = ("object", "int64", "int64")
    gives = dtypes.INT64


@register("AtomicIter")
class AtomicIter(Locked):
    takes = ("object", "int64")

    def output_type(self, ins: list[Spec], i: int) -> tuple[int, int]:
        return dtypes.INT64, TENSOR

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        with self.mutex(inputs[0]):
            outputs[0][...] = self.one(inputs[1], 1) + 1
        THE_PROCESS.add({f"atomic_iter/stats/{self.inputs[1]}/num_iter".encode(): 1})


@register("Iter")
class Iter(Locked):
    """Without an input it counts in its own output."""

    takes = "int64"

    def setup(self) -> None:
        self.count = 0

    def output_type(self, ins: list[Spec], i: int) -> tuple[int, int]:
        return dtypes.INT64, TENSOR

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        self.count = self.one(inputs[0], 0) + 1 if inputs else self.count + 1
        outputs[0].view(np.uint64)[...] = self.count % (1 << 64)  # the largest number is followed by the smallest


@register("ConditionalSetAtomicBool")
class ConditionalSetAtomicBool(StateOperator):
    state = AtomicBool

    def on(self, state: AtomicBool, wanted: np.ndarray) -> None:
        if wanted.dtype != np.bool_ or wanted.size != 1:
            raise DTypeError(f'input 1 "{self.inputs[1]}" is {wanted.dtype} of {wanted.size}; expected one bool')
        state.value = state.value or bool(wanted.reshape(-1)[0])


@register("CheckAtomicBool")
class CheckAtomicBool(StateOperator):
    state, gives = AtomicBool, dtypes.BOOL

    def on(self, state: AtomicBool) -> bool:
        return state.value


# ---- time ----------------------------------------------------------------------------------------------------------


@register("TimerGet")
class TimerGet(StateOperator):
    state = Timer

    def on(self, state: Timer) -> int:
        return state.elapsed()


@register("TimerEnd", "TimerGetAndEnd")
class TimerGetAndEnd(StateOperator):
    state = Timer

    def on(self, state: Timer) -> int:
        elapsed = state.elapsed()
        state.begin = None
        return elapsed


@register("WallClockTime")
class WallClockTime(PythonOperator):
    def output_type(self, ins: list[Spec], i: int) -> tuple[int, int]:
        return dtypes.INT64, TENSOR

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        outputs[0][...] = time.time_ns()
