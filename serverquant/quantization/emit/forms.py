"""What is known of an emitted net, and which function writes the int8 form of which float type."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from serverquant.proto import OperatorDef
from serverquant.qparams import QParams
from serverquant.runtime import registry

if TYPE_CHECKING:
    from serverquant.quantization.emit.writer import Writer

ENGINE = "DNNLOWP"
WIDE = "DNNLOWP_16"  # tensors of uint16: operators of float types, Int8 of uint16 in and out
DECLARED = "(declared)"  # stands for types whose schema names their int8 form


class Stays(Exception):
    """Why an operator stays float."""


@dataclass
class Quantized:
    """An int8 blob. unflat: (C, H, W) when it stands for a flattened image but is stored N, H, W, C. wide: it is of
    uint16, which it may be with 8 bits or fewer too."""

    name: str
    params: QParams
    unflat: tuple[int, ...] | None = None
    wide: bool = False

    @property
    def engine(self) -> str:
        return WIDE if self.wide else ENGINE


@dataclass
class Layer:
    """A Conv or FC in both forms. op: the float one. made: the int8 one, with its weight and bias as inputs 1 and 2.
    exact: the float weight. image: (C, H, W) when it is an FC whose columns were turned to H, W, C. nchw: it is a Conv
    of that order. turned: to NHWC, weight and all."""

    op: OperatorDef
    made: OperatorDef
    exact: np.ndarray
    image: tuple[int, ...] | None = None
    nchw: bool = False
    turned: bool = False

    @property
    def reads_float(self) -> bool:
        """Whether the int8 form quantizes what it reads by itself."""
        return self.op.input[0] == self.made.input[0]

    def restored(self, weight: np.ndarray) -> np.ndarray:
        """A weight as the int8 form stores it, in the layout of the float one."""
        if self.image:
            c, height, width = self.image
            return weight.reshape(-1, height, width, c).transpose(0, 3, 1, 2).reshape(self.exact.shape)
        return weight.transpose(0, 3, 1, 2) if self.turned else weight.reshape(self.exact.shape)


@dataclass
class Emitted:
    """ops: of the net. init_ops: fills of the int8 weights. layers: in the order of the net. By float blob: params and
    int8, the parameters and the name of its int8 form; quantized, the int8 type that writes it (`named`); stays, why
    the operator that writes it stays float; weights, of the layer that writes it the bits of the weight and its
    (largest) scale. tables: by fused table what it was made of."""

    ops: list[OperatorDef] = field(default_factory=list)
    init_ops: list[OperatorDef] = field(default_factory=list)
    layers: list[Layer] = field(default_factory=list)
    params: dict[str, QParams] = field(default_factory=dict)
    int8: dict[str, str] = field(default_factory=dict)
    stays: dict[str, str] = field(default_factory=dict)
    quantized: dict[str, str] = field(default_factory=dict)
    weights: dict[str, dict[str, Any]] = field(default_factory=dict)
    tables: dict[str, dict[str, Any]] = field(default_factory=dict)


Maker = Callable[["Writer", OperatorDef], None]
Demand = Callable[["Writer", OperatorDef, str], "QParams | None"]
MAKERS: dict[str, Maker] = {}
WRITES: dict[str, tuple[str, ...]] = {}
DEMANDS: dict[str, Demand] = {}
WIDES: dict[str, str] = {}
KEEPS: set[str] = set()


def emits(
    *types: str, writes: str, wide: str | None = None, keeps: bool = False, demands: Demand | None = None
) -> Callable[[Maker], Maker]:
    """Decorator: the function that writes the int8 form of operators of these float types, or raises Stays.

    writes: the int8 types that it needs, separated by blanks. wide: the type that does it with more than 8 bits, in
    engine WIDE; "" when that takes no operator, None where nothing does. keeps: what it writes has the parameters of
    what it reads, or none. demands: the parameters that the int8 form reads one of its blobs with, whatever the blob's
    range is; None where it takes any.
    """

    def add(make: Maker) -> Maker:
        MAKERS.update(dict.fromkeys(types, make))
        WRITES.update(dict.fromkeys(types, tuple(writes.split())))
        if wide is not None:
            WIDES.update(dict.fromkeys(types, wide))
        if keeps:
            KEEPS.update(types)
        if demands is not None:
            DEMANDS.update(dict.fromkeys(types, demands))
        return make

    return add


def named(type: str, engine: str) -> str:
    """A type for people: with the engine where that is WIDE, whose types are those of float operators."""
    return f"{type} {engine}" if engine == WIDE else type


def engine_of(type: str) -> str | None:
    """The engine that int8 operators of this type are written with; None when the runtime has none."""
    return next((engine for engine in (ENGINE, "") if registry.operator_class(type, engine) is not None), None)
