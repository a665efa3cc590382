"""What verbs that run a net share: its files on the command line, its predictor, its operators after a run."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from serverquant._base import _threads
from serverquant._base.errors import ArgumentError
from serverquant.blobs._blob import Blob
from serverquant.blobs.spec import OBJECT, Spec
from serverquant.cli import feeds
from serverquant.predictor import Predictor, load
from serverquant.runtime._plan import Step
from serverquant.runtime.operator import Operator

WEIGHTED = {"Conv", "Conv1D", "Conv2D", "Conv3D", "FC"}


def arguments(parser: argparse.ArgumentParser, optional: bool = False) -> None:
    """The net's files, its feeds, and the number of threads."""
    parser.add_argument(
        "init",
        metavar="INIT_NET",
        help="init net (.pb, .pbtxt), or a MetaNetDef by itself",
        nargs="?" if optional else None,
    )
    parser.add_argument("predict", metavar="PREDICT_NET", nargs="?", help="predict net (.pb, .pbtxt)")
    parser.add_argument("--threads", type=int, help="threads of the kernels (default: the CPUs at hand)")
    feeds.arguments(parser)


def open_net(args: argparse.Namespace, keep_blobs: bool = False) -> Predictor:
    """The predictor of the files on the command line."""
    if args.threads is not None:
        _threads.set_num_threads(args.threads)
    return load(args.init, args.predict, keep_blobs=keep_blobs)


def inputs(args: argparse.Namespace, net: Predictor) -> dict[str, Any]:
    """All inputs of the net; ArgumentError says which are missing and how to give them."""
    found = feeds.from_arguments(args, net.inputs)
    missing = [name for name in net.inputs if name not in found]
    if missing:
        raise ArgumentError(
            f'net "{net.name}" needs input {", ".join(missing)}, which the init net does not make: '
            f"give --feed {missing[0]}=FILE, or --shape {missing[0]}=DIMS for random numbers"
        )
    return found


def multiply_adds(op_type: str, weight: Spec, out: Spec) -> int:
    """Multiplications of a convolution or fully connected layer, padding included; 0 of other types."""
    kind = op_type.removeprefix("Int8").removesuffix("Relu")
    return out.size * weight.size // weight.dims[0] if kind in WEIGHTED and weight.size else 0


@dataclass
class Planned:
    """An operator as the last run planned it."""

    operator: Operator
    step: Step
    inputs: list[Blob]
    outputs: list[Blob]

    @property
    def index(self) -> int:
        return self.operator.definition.index

    @property
    def multiply_adds(self) -> int:
        """Multiplications of convolutions and fully connected layers, padding included; 0 of others."""
        if len(self.inputs) < 2:
            return 0
        return multiply_adds(self.operator.type, self.inputs[1].spec(), self.outputs[0].spec())

    @property
    def packed_bytes(self) -> int:
        """Bytes of the packed forms of its inputs."""
        return sum(b.packed_bytes + (b.value.nbytes if b.kind == OBJECT else 0) for b in self.inputs)


def planned(net: Predictor) -> Iterator[Planned]:
    """The operators of the calling thread's last run, in order."""
    for plan in net.net.last_plans:
        for operator, (step, ins, outs) in zip(plan.operators, plan.steps_python):
            yield Planned(operator, step, ins, outs)
