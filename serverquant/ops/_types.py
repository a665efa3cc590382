"""Data types of plain tensors: what kernels call them, and the checks that several families share."""

from __future__ import annotations

from typing import Any

from serverquant._base.errors import DTypeError
from serverquant.blobs import dtypes
from serverquant.blobs.spec import TENSOR, Spec

SHORT = {
    dtypes.FLOAT: "f32",
    dtypes.DOUBLE: "f64",
    dtypes.INT32: "i32",
    dtypes.INT64: "i64",
    dtypes.INT16: "i16",
    dtypes.INT8: "i8",
    dtypes.UINT16: "u16",
    dtypes.UINT8: "u8",
    dtypes.BYTE: "u8",
    dtypes.BOOL: "b8",
}
NUMBERS = ("float", "double", "int32", "int64")
REALS = ("float", "double")


def kernel_of(stem: str, spec: Spec) -> str:
    """The kernel of that stem for the spec's data type, such as add_f32."""
    return f"{stem}_{SHORT[spec.dtype]}"


def expect_alike(op: Any, ins: list[Spec], *names: str) -> None:
    """DTypeError unless input 0 is a plain tensor of one of these types, and all others of the same."""
    op.expect(ins, 0, *names)
    for i in range(1, len(ins)):
        op.expect(ins, i, dtypes.name(ins[0].dtype))


def expect_plain(op: Any, ins: list[Spec], i: int) -> None:
    """DTypeError unless input i is a plain tensor, of whatever type."""
    if ins[i].kind != TENSOR:
        raise DTypeError(f"{op.input_text(ins, i)} cannot be used; expected a plain tensor")
