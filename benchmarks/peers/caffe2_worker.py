"""The real Caffe2 as a server on its standard input and output, started by `real_caffe2.py`.

Every message is an 8-byte little-endian length and a pickle of plain Python values: arrays travel as (dtype, shape,
bytes), since the two Pythons have numpys that cannot read each other's pickles. A request is (command, arguments); the
answer is (True, result) or (False, message). Python 3.9, numpy 1.23.
Arguments: the number of threads, then flags of Caffe2.
"""

from __future__ import annotations

import os
import pickle
import resource
import struct
import sys
import time
from pathlib import Path

PIPE_IN, PIPE_OUT = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
os.dup2(2, 1)  # what Caffe2 prints must not get into the protocol

import numpy as np  # noqa: E402
from caffe2.proto import caffe2_pb2  # noqa: E402
from caffe2.python import workspace  # noqa: E402


def unpack(value):
    """(dtype, shape, bytes[, scale, zero_point]) -> array, or (array, scale, zero_point)."""
    array = np.frombuffer(value[2], value[0]).reshape(value[1])
    return array if len(value) == 3 else (array, *value[3:])


def pack(array, *parameters):
    array = np.asarray(array, order="C")  # ascontiguousarray gives a scalar a dimension
    return (array.dtype.str, array.shape, array.tobytes(), *parameters)


def parse(net):
    """A NetDef from its bytes, or from a path."""
    message = caffe2_pb2.NetDef()
    message.ParseFromString(net if isinstance(net, bytes) else Path(net).read_bytes())
    return message


def feed_one(name, value):
    if isinstance(value, tuple):
        fill = "Int8GivenTensorFill" if value[0].dtype == np.uint8 else "Int8GivenIntTensorFill"
        feed_int8(fill, name, *value)
    else:
        workspace.FeedBlob(name, value)


def feed_int8(fill, name, data, scale, zero_point):
    """Caffe2 cannot feed an Int8 tensor from Python; a fill makes one."""
    op = caffe2_pb2.OperatorDef(type=fill, output=[name])
    op.arg.add(name="shape", ints=data.shape)
    if data.dtype == np.uint8:
        op.arg.add(name="values", s=data.tobytes())
    else:
        op.arg.add(name="values", ints=data.ravel().tolist())
    op.arg.add(name="Y_scale", f=scale)
    op.arg.add(name="Y_zero_point", i=zero_point)
    workspace.RunOperatorOnce(op)


class Server:
    """One command a method."""

    def __init__(self):
        self.net = ""

    def init(self, net):
        """Runs an init net once. Nanoseconds: of reading and parsing, and of RunNetOnce alone."""
        start = time.perf_counter_ns()
        message = parse(net)
        parsed = time.perf_counter_ns()
        if not workspace.RunNetOnce(message):
            raise RuntimeError("the init net failed")
        return parsed - start, time.perf_counter_ns() - parsed

    def create(self, net, kind=""):
        message = parse(net)
        message.type = kind or message.type
        message.name = message.name or "net"
        workspace.CreateNet(message, overwrite=True)
        self.net = message.name

    def feed(self, values):
        for name, value in values.items():
            feed_one(name, unpack(value))

    def run(self, times, feeds=()):
        """Nanoseconds of each run; before run i the blobs of feeds[i % len(feeds)] are fed, outside the clock."""
        feeds = [{name: unpack(value) for name, value in values.items()} for values in feeds]
        taken = []
        for i in range(times):
            for name, value in feeds[i % len(feeds)].items() if feeds else ():
                feed_one(name, value)
            start = time.perf_counter_ns()
            workspace.RunNet(self.net)
            taken.append(time.perf_counter_ns() - start)
        return taken

    def run_many(self, times):
        """Nanoseconds of so many runs inside one call."""
        start = time.perf_counter_ns()
        workspace.RunNet(self.net, times)
        return time.perf_counter_ns() - start

    def fetch(self, names):
        return {name: self._fetch(name) for name in names}

    def _fetch(self, name):
        value = workspace.C.fetch_blob(name)
        if isinstance(value, np.ndarray):
            return pack(value)
        return pack(value[0], float(value[1]), int(value[2]))  # Int8: data, scale, zero point

    def reset(self):
        workspace.ResetWorkspace()

    def peak_bytes(self):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def receive():
    head = PIPE_IN.read(8)
    return pickle.loads(PIPE_IN.read(struct.unpack("<q", head)[0])) if head else None


def send(message):
    data = pickle.dumps(message, 4)
    PIPE_OUT.write(struct.pack("<q", len(data)) + data)
    PIPE_OUT.flush()


def main():
    threads = sys.argv[1]
    workspace.GlobalInit(["caffe2", "--caffe2_log_level=3", f"--caffe2_omp_num_threads={threads}",
                          f"--caffe2_mkl_num_threads={threads}", *sys.argv[2:]])
    server = Server()
    while True:
        request = receive()
        if request is None:
            return
        command, arguments = request
        try:
            send((True, getattr(server, command)(*arguments)))
        except Exception as error:
            send((False, f"{type(error).__name__}: {error}"))


main()
