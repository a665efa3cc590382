"""Show what a net is made of: operators, shapes, parameters, multiply-adds, memory.

Shapes need a run: give --input, as for run. --dot prints a drawing for graphviz.
"""

from __future__ import annotations

import argparse
import math
from typing import Any

from serverquant.cli import nets, show
from serverquant.predictor import Predictor


def add_arguments(parser: argparse.ArgumentParser) -> None:
    nets.add_net(parser)
    nets.add_feeds(parser)
    parser.add_argument("--dot", action="store_true", help="print the net as a DOT graph")


def run(args: argparse.Namespace) -> None:
    with nets.load_net(args) as predict:
        if args.dot:
            print(dot(predict))
            return
        given = nets.feeds(args, predict)
        if given:
            predict(given)
        report = describe(predict)
    if args.json:
        show.print_json(report)
        return
    print(predict_line(report))
    rows = [
        (op["index"], op["type"], op["engine"], ", ".join(op["inputs"]), ", ".join(op["outputs"]),
         "; ".join("x".join(map(str, s)) for s in op["shapes"]), f"{op['multiply_adds']:,}" if op["multiply_adds"] else "")
        for op in report["operators"]
    ]
    show.print_table(["op", "type", "engine", "inputs", "outputs", "shapes", "multiply-adds"], rows)


def predict_line(report: dict[str, Any]) -> str:
    return (
        f"net {report['name']}: {len(report['operators'])} operators, inputs {', '.join(report['inputs'])}, outputs "
        f"{', '.join(report['outputs'])}; {report['parameters']:,} parameters in {report['parameter_bytes']:,} bytes, "
        f"{report['blob_bytes']:,} bytes of inner blobs, {report['multiply_adds']:,} multiply-adds"
    )


def describe(predict: Predictor) -> dict[str, Any]:
    """Facts of a net; shapes and what follows from them are empty before its first run."""
    space = predict.net.store
    operators = []
    for op in predict.net.operators:
        outputs = [space.get(name) for name in op.outputs]
        operators.append(
            {
                "index": op.definition.index, "type": op.type, "engine": op.engine, "name": op.definition.name,
                "inputs": list(op.inputs), "outputs": list(op.outputs), "shapes": [list(b.dims) for b in outputs],
                "bytes": sum(b.nbytes for b in outputs), "multiply_adds": multiply_adds(op, space),
            }
        )
    return {
        "name": predict.name, "inputs": predict.inputs, "outputs": predict.outputs,
        "parameters": sum(math.prod(dims) for dims in predict.parameters.values()), "parameter_bytes": predict.nbytes,
        "blob_bytes": sum(op["bytes"] for op in operators),
        "multiply_adds": sum(op["multiply_adds"] for op in operators), "operators": operators,
    }


def multiply_adds(op: Any, space: Any) -> int:
    """Of a convolution or fully connected layer: outputs times the weights of one; 0 for others."""
    if not any(word in op.type for word in ("Conv", "FC")) or "Pack" in op.type:
        return 0
    out, weight = space.get(op.outputs[0]), space.get(op.inputs[1])
    outputs = weight.dims[0] if weight.dims else 0
    return math.prod(out.dims) * math.prod(weight.dims) // outputs if outputs and not out.is_empty else 0


def dot(predict: Predictor) -> str:
    """Operators as boxes, blobs as arrows; parameters are left out."""
    lines = [f'digraph "{predict.name}" {{', "  node [shape=box, fontname=sans]"]
    source = {name: f'"{name}"' for name in predict.inputs}
    lines += [f'  "{name}" [shape=oval]' for name in predict.inputs]
    for op in predict.net.operators:
        node = f"op{op.definition.index}"
        lines.append(f'  {node} [label="{op.type}{" " + op.engine if op.engine else ""}"]')
        lines += [f'  {source[name]} -> {node} [label="{name}"]' for name in op.inputs if name in source]
        source.update(dict.fromkeys(op.outputs, node))
    for name in predict.outputs:
        lines += [f'  "{name}" [shape=oval]', f'  {source[name]} -> "{name}"']
    return "\n".join([*lines, "}"])
