"""Show what a net is made of: operators, shapes, parameters, multiply-adds, memory; or draw it.

    serverquant inspect init_net.pb predict_net.pb --shape data=1x3x224x224 --draw net.svg

Shapes and costs need the inputs (--shape or --feed); one NetDef alone is listed without them. The net is not run: a
shape that depends on values is shown as "?".
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from serverquant._base.errors import ArgumentError, ParseError, ServerquantError
from serverquant.blobs.spec import INT8, TENSOR

if TYPE_CHECKING:
    from serverquant.runtime.infer import Inferred


def arguments(parser: argparse.ArgumentParser) -> None:
    from serverquant.cli import nets

    nets.arguments(parser)
    parser.add_argument("--draw", metavar="FILE", help="draw the net: .svg or .dot")


def main(args: argparse.Namespace) -> int:
    from serverquant.cli import show
    from serverquant.proto import drawing

    if args.draw and Path(args.draw).suffix not in (".svg", ".dot"):
        raise ArgumentError(f"--draw {args.draw}: the name must end in .svg or .dot")
    proto, found = _looked_at(args)
    if args.draw:
        draw = drawing.svg if args.draw.endswith(".svg") else drawing.dot
        Path(args.draw).write_text(draw(proto, {o["index"]: " ".join(o["shapes"]) for o in found["operators"]}))
    if args.json:
        show.as_json(found)
    elif not args.draw:
        _print(found)
    return 0


def _looked_at(args: argparse.Namespace) -> tuple[Any, dict[str, Any]]:
    """(the net's message, what there is to say of it)."""
    from serverquant.cli import nets
    from serverquant.proto.io import load_net

    if args.predict is None:
        try:
            proto = load_net(args.init)
        except ParseError:
            pass  # a MetaNetDef, then: the predictor says what is wrong if it is none
        else:
            return proto, _bare(proto)
    net = nets.open_net(args)
    found = _bare(net.proto)
    found |= {
        "inputs": net.inputs,
        "outputs": net.outputs,
        "parameters": {name: list(dims) for name, dims in net.parameters.items()},
        "parameter_bytes": net.nbytes,
    }
    if args.feed or args.shape or args.spec:
        faults: list[ServerquantError] = []
        _add_costs(found, net.infer(nets.inputs(args, net), faults))
        found["faults"] = [str(fault) for fault in faults]
    return net.proto, found


def _bare(proto: Any) -> dict[str, Any]:
    operators = [
        {
            "index": i,
            "type": op.type,
            "name": op.name,
            "engine": op.engine,
            "inputs": list(op.input),
            "outputs": list(op.output),
            "shapes": [],
            "multiply_adds": None,
        }
        for i, op in enumerate(proto.op)
    ]
    return {
        "name": proto.name,
        "inputs": list(proto.external_input),
        "outputs": list(proto.external_output),
        "operators": operators,
    }


def _add_costs(found: dict[str, Any], inferred: list[Inferred]) -> None:
    """Shapes, multiply-adds and bytes of what the operators write, as far as they are known."""
    from serverquant.cli import nets, show

    made: dict[str, int] = {}
    for row, (definition, ins, outs) in zip(found["operators"], inferred):
        row["shapes"] = [show.dims(spec.dims) for spec in outs] if outs is not None else ["?"] * len(row["outputs"])
        row["multiply_adds"] = 0
        if ins and outs and len(ins) > 1:
            row["multiply_adds"] = nets.multiply_adds(definition.type, ins[1], outs[0])
        made |= {name: spec.nbytes for name, spec in zip(row["outputs"], outs or ()) if spec.kind in (TENSOR, INT8)}
    found["multiply_adds"] = sum(row["multiply_adds"] for row in found["operators"])
    found["activation_bytes"] = sum(made.values())
    found["largest_activation"] = max(made, key=lambda name: made[name], default="")


def _print(found: dict[str, Any]) -> None:
    from serverquant.cli import show

    print(
        f'net "{found["name"]}": {len(found["operators"])} operators, '
        f"{', '.join(found['inputs'][:8])} -> {', '.join(found['outputs'])}\n"
    )
    rows = [
        (
            o["index"],
            o["type"],
            o["engine"],
            " ".join(o["inputs"]),
            " ".join(o["outputs"]),
            " ".join(o["shapes"]),
            show.amount(o["multiply_adds"]) if o["multiply_adds"] else "",
        )
        for o in found["operators"]
    ]
    show.table(("op", "type", "engine", "inputs", "outputs", "shape", "madds"), rows, right=("op", "madds"))
    print()
    if "parameters" in found:
        numbers = sum(_size(dims) for dims in found["parameters"].values())
        print(
            f"parameters     {show.amount(numbers)} in {len(found['parameters'])} blobs, "
            f"{show.amount(found['parameter_bytes'], 'B')}"
        )
    if "multiply_adds" in found:
        print(f"multiply-adds  {show.amount(found['multiply_adds'])}")
        print(f"activations    {show.amount(found['activation_bytes'], 'B')}; largest: {found['largest_activation']}")
        for fault in found["faults"]:
            print(f"cannot run     {fault}")
    elif "parameters" in found:
        print("shapes and multiply-adds: give inputs with --shape or --feed")


def _size(dims: list[int]) -> int:
    size = 1
    for n in dims:
        size *= n
    return size
