"""Say for each operator which engine and kernel runs it, why others were refused, and give a line to replay it.

serverquant explain init_net.pb predict_net.pb --shape data=1x3x224x224 --lines
"""

from __future__ import annotations

import argparse
from typing import Any


def arguments(parser: argparse.ArgumentParser) -> None:
    from serverquant.cli import nets

    nets.arguments(parser)
    parser.add_argument("--lines", action="store_true", help="print a line per operator for `serverquant bench --op`")


def main(args: argparse.Namespace) -> int:
    from serverquant._base import _isa, _threads
    from serverquant.cli import nets, show

    net = nets.open_net(args, keep_blobs=True)
    net(nets.inputs(args, net))
    maker = _maker(net)
    found = [_facts(item, maker) for item in nets.planned(net)]
    if args.json:
        show.as_json(
            {"net": net.name, "isa": _isa.current(), "threads": _threads.get_num_threads(), "operators": found}
        )
    elif args.lines:
        for row in found:
            print(row["line"] or f"# op {row['index']}, {row['type']}: has values that a line cannot hold")
    else:
        print(f'net "{net.name}" on {_isa.current()}, up to {_threads.get_num_threads()} threads\n')
        rows = [
            (
                r["index"],
                r["type"],
                r["engine"] or "default",
                r["kernel"],
                r["packed_bytes"] or "",
                "; ".join(
                    [
                        *(f"{k} {v}" for k, v in r["facts"].items()),
                        *(f"{e or 'default'} refused: {why}" for e, why in r["refused"]),
                    ]
                ),
            )
            for r in found
        ]
        show.table(("op", "type", "engine", "kernel", "packed bytes", "notes"), rows, right=("op", "packed bytes"))
    return 0


def _facts(item: Any, maker: Any) -> dict[str, Any]:
    from serverquant.cli import replay

    operator = item.operator
    return {
        "index": item.index,
        "type": operator.type,
        "name": operator.definition.name,
        "engine": operator.engine,
        "kernel": item.step.kernel,
        "facts": {k: v for k, v in item.step.facts.items() if isinstance(v, (str, int, float, bool, tuple))},
        "refused": operator.refused,
        "packed_bytes": item.packed_bytes,
        "line": replay.line(operator.definition.message, item.inputs, maker),
    }


def _maker(net: Any) -> Any:
    """Finds the operator of the init net that packed some weights, with its inputs."""
    packers = {name: (op, blobs) for op, blobs in net.packers() for name in op.output}
    return packers.get
