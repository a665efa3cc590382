"""The operators C = f(A, B) and f(x0, x1, ...): one line each. kernels/binary/maps.inc has the formulas."""

from __future__ import annotations

from typing import NamedTuple

from serverquant.ops._types import NUMBERS, REALS


class Binary(NamedTuple):
    """stem: the kernel's name without its data type. swapped: f(B, A). bool_out: whether C is bool, whatever A is."""

    stem: str
    doc: str
    types: tuple[str, ...] = NUMBERS
    inplace: bool = True
    bool_out: bool = False
    swapped: bool = False


BITS = ("int32", "int64", "bool")
ANY = (*NUMBERS, "bool")

BINARIES = {
    "Add": Binary("add", "C = A + B"),
    "Sub": Binary("sub", "C = A - B"),
    "Mul": Binary("mul", "C = A * B"),
    "Div": Binary("div", "C = A / B; of integers towards zero, and no B may be 0"),
    "LT": Binary("lt", "C = (A < B)", ANY, False, True),
    "LE": Binary("le", "C = (A <= B)", ANY, False, True),
    "GT": Binary("lt", "C = (A > B)", ANY, False, True, True),
    "GE": Binary("le", "C = (A >= B)", ANY, False, True, True),
    "EQ": Binary("eq", "C = (A == B)", ANY, False, True),
    "NE": Binary("ne", "C = (A != B)", ANY, False, True),
    "And": Binary("and", "C = A and B", ("bool",)),
    "Or": Binary("or", "C = A or B", ("bool",)),
    "Xor": Binary("xor", "C = A xor B", ("bool",)),
    "BitwiseAnd": Binary("and", "C = A and B, bit by bit", BITS),
    "BitwiseOr": Binary("or", "C = A or B, bit by bit", BITS),
    "BitwiseXor": Binary("xor", "C = A xor B, bit by bit", BITS),
}


class Fold(NamedTuple):
    """stem: the kernel's name without its data type."""

    stem: str
    doc: str
    types: tuple[str, ...] = NUMBERS


_NAN = "NaN in data_0 stays, others are passed over"
FOLDS = {
    "Sum": Fold("sum", "sum = data_0 + data_1 + ..., added from left to right"),
    "SumInt": Fold("sum", "sum = data_0 + data_1 + ..., added from left to right"),
    "SumRelu": Fold("sum_relu", "sum = max(data_0 + data_1 + ..., 0)", ("float", "double", "int32")),
    "Mean": Fold("mean", "mean = (data_0 + data_1 + ...) * (1 / count)", REALS),
    "Max": Fold("max", f"max = the largest of data_0, data_1, ...; {_NAN}", ("float",)),
    "Min": Fold("min", f"min = the smallest of data_0, data_1, ...; {_NAN}", ("float",)),
}
