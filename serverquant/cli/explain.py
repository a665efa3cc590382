"""Say for every operator of a net which engine and kernel it takes, and why others were refused.

--lines prints a line for each operator that `serverquant bench --op` replays, on random data of the same shapes.
"""

from __future__ import annotations

import argparse
import base64
import json
from typing import Any

import numpy as np

from serverquant._base import _isa, _threads
from serverquant._base.errors import ArgumentError
from serverquant.blobs import dtypes
from serverquant.blobs.spec import INT8, OBJECT
from serverquant.cli import nets, show
from serverquant.predictor import Predictor


def add_arguments(parser: argparse.ArgumentParser) -> None:
    nets.add_net(parser)
    nets.add_feeds(parser)
    parser.add_argument("--lines", action="store_true", help="one line for each operator, for bench --op")


def run(args: argparse.Namespace) -> None:
    with nets.load_net(args) as predict:
        predict(nets.feeds(args, predict))
        if args.lines:
            for op in predict.net.operators:
                print(json.dumps(line_of(op, predict.net.store)))
            return
        rows = explain(predict)
    if args.json:
        show.print_json({"isa": _isa.current(), "threads": _threads.get_num_threads(), "operators": rows})
        return
    print(f"instruction set {_isa.current()}, up to {_threads.get_num_threads()} threads")
    columns = ["op", "type", "engine", "kernel", "packed bytes", "refused"]
    show.print_table(columns, [[row[c] for c in columns] for row in rows])


def explain(predict: Predictor) -> list[dict[str, Any]]:
    """A row for each operator of a net that has run."""
    steps = [step for plan in predict.net.last_plans for step in plan.steps_python]
    rows = []
    for op, (step, inputs, _) in zip(predict.net.operators, steps):
        rows.append(
            {
                "op": op.definition.index, "type": op.type, "engine": op.engine or "(default)", "kernel": step.kernel,
                "packed bytes": sum(blob.packed_bytes for blob in inputs) or "",
                "refused": "; ".join(f"{engine or 'default'}: {why}" for engine, why in op.refused),
            }
        )
    return rows


def line_of(op: Any, space: Any) -> dict[str, Any]:
    """Everything that replaying the operator needs: its definition and its inputs' types, shapes and parameters."""
    inputs = []
    for name in op.inputs:
        blob = space.get(name)
        if blob.kind == OBJECT:
            inputs.append({"name": name, "object": True})
            continue
        fact: dict[str, Any] = {"name": name, "dtype": dtypes.name(blob.spec().dtype), "dims": list(blob.dims)}
        if blob.kind == INT8:
            fact |= {"scale": blob.scale, "zero_point": blob.zero_point}
        inputs.append(fact)
    definition = base64.b64encode(op.definition.message.SerializeToString()).decode()
    return {"type": op.type, "engine": op.engine, "inputs": inputs, "definition": definition}


def replay(line: dict[str, Any]) -> Any:
    """A net of the one operator of a line, on random inputs."""
    from serverquant.proto import NetDef
    from serverquant.proto.wire import read_net
    from serverquant.runtime.workspace import Workspace

    space, random = Workspace(), np.random.default_rng(0)
    net = NetDef(name="replay")
    net.op.add().ParseFromString(base64.b64decode(line["definition"]))
    numbers = {name: number for number, name in dtypes.NAMES.items()}
    for fact in line["inputs"]:
        if fact.get("object"):
            raise ArgumentError(f'input "{fact["name"]}" holds packed weights, which a line cannot carry')
        dtype = dtypes.NUMPY[numbers[fact["dtype"]]]
        whole = dtype.kind in "iu"
        data = random.integers(0, 2 if dtype.itemsize > 1 else 255, fact["dims"]) if whole else random.standard_normal(fact["dims"])
        blob = space.create(fact["name"])
        if "scale" in fact:
            blob.feed_int8(data.astype(dtype), fact["scale"], fact["zero_point"])
        else:
            blob.feed(np.asarray(data, dtype))
    return space.bind(read_net(net))
