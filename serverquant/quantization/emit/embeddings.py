"""Tables of embeddings with rows of 8 or 4 bits, each by a scale and bias of its own; the sums of their rows are float.

They are packed here and stored as bytes, so that the int8 net needs the float table neither in its file nor in memory.
"""

from __future__ import annotations

import numpy as np

from serverquant.predictor import Predictor
from serverquant.proto import NetDef, OperatorDef
from serverquant.quantization.emit.forms import Stays, emits
from serverquant.quantization.emit.shapes import gather
from serverquant.quantization.emit.writer import Writer
from serverquant.quantization.net import operator

BITS = {"fused8": 8, "fused4": 4}
BAGS = ("SparseLengthsSum", "SparseLengthsWeightedSum", "SparseLengthsMean")


@emits(*BAGS, writes="", keeps=True)
def bag(w: Writer, op: OperatorDef) -> None:
    """A bag of a constant table, as the same of a fused one."""
    table, bits = fused(w, op)
    _replace(w, op, f"{op.type}Fused{bits}BitRowwise", table)


@emits("Gather", writes="Int8Gather", keeps=True)
def lookup(w: Writer, op: OperatorDef) -> None:
    """Rows of a constant table as GatherFused8BitRowwise, which has no 4-bit twin; else a gather of int8 slices."""
    if w.net.weight(op.input[0]) is None:
        gather(w, op)
        return
    if len(w.shape(op.output[0])) != 1:
        raise Stays("its indices are no vector")
    table, _ = fused(w, op, most=8)
    _replace(w, op, "GatherFused8BitRowwise", table)


def fused(w: Writer, op: OperatorDef, most: int = 4) -> tuple[str, int]:
    """(the fused form of the table that op reads, its bits). Rows of an odd number of values have no 4-bit form."""
    name = op.input[0]
    value = w.net.weight(name)
    if w.embeddings == "float":
        raise Stays("embeddings are to stay float")
    if value is None or value.dtype != np.float32 or value.ndim != 2 or not value.size:
        raise Stays("its table is no float constant of two dimensions")
    if not np.isfinite(value).all():
        raise Stays(f'the table "{name}" is not finite')
    bits = 8 if most == 8 or value.shape[1] % 2 else BITS[w.embeddings]
    if (name, bits) not in w.tables:
        stored = _packed(value, bits)
        blob = w.net.unique(f"{name}_fused{bits}")
        fill = operator(
            "GivenTensorByteStringToUInt8Fill", [], [blob], shape=stored.shape, values=[stored.tobytes()]
        )
        w.out.init_ops.append(fill)
        w.tables[name, bits] = blob
        w.out.tables[blob] = {"table": name, "bits": bits, "rows": len(value), "columns": value.shape[1]}
    return w.tables[name, bits], bits


def _packed(table: np.ndarray, bits: int) -> np.ndarray:
    net = NetDef(name="pack")
    net.op.append(operator(f"FloatToFused{bits}BitRowwiseQuantized", ["table"], ["fused"]))
    net.external_input.append("table")
    net.external_output.append("fused")
    with Predictor(NetDef(name="none"), net) as run:
        return np.asarray(run({"table": table})["fused"])


def _replace(w: Writer, op: OperatorDef, type: str, table: str) -> None:
    made = OperatorDef()
    made.CopyFrom(op)
    made.type, made.input[0] = type, table
    w.keep(made)
    w.out.quantized[op.output[0]] = type
