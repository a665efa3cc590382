"""The operators y[i] = f(x[i]): one line each. kernels/unary/maps.inc has the formulas."""

from __future__ import annotations

from typing import NamedTuple

from serverquant.ops._types import NUMBERS, REALS
from serverquant.runtime.schema import Arg


class Map(NamedTuple):
    """stem: the kernel's name without its data type. args: go to the kernel as a and b, in this order."""

    stem: str
    doc: str
    inplace: bool = False
    types: tuple[str, ...] = ("float",)
    args: tuple[Arg, ...] = ()


LARGEST = 3.4028234663852886e38

MAPS = {
    "Abs": Map("abs", "Y = |X|."),
    "Acos": Map("acos", "Y = arccos(X); NaN outside -1..1."),
    "Asin": Map("asin", "Y = arcsin(X); NaN outside -1..1."),
    "Atan": Map("atan", "Y = arctan(X)."),
    "Cbrt": Map("cbrt", "Y = cube root of X.", True),
    "Ceil": Map("ceil", "Y = the next whole number not below X.", True),
    "Clip": Map(
        "clip",
        "Y = min(max(X, min), max); NaN stays.",
        True,
        args=(Arg("min", "float", -LARGEST, "lower end"), Arg("max", "float", LARGEST, "upper end")),
    ),
    "Cos": Map("cos", "Y = cos(X)."),
    "Cosh": Map("cosh", "Y = cosh(X)."),
    "Cube": Map("cube", "Y = X * X * X.", types=NUMBERS),
    "Elu": Map(
        "elu",
        "Y = X, and alpha * (exp(X) - 1) below 0.",
        True,
        args=(Arg("alpha", "float", 1.0, "minus the limit on the left"),),
    ),
    "Erf": Map("erf", "Y = the error function of X."),
    "Exp": Map("exp", "Y = exp(X).", True),
    "Floor": Map("floor", "Y = the next whole number not above X.", True),
    "HardSigmoid": Map(
        "hard_sigmoid",
        "Y = min(max(alpha * X + beta, 0), 1).",
        True,
        args=(Arg("alpha", "float", 0.2, "slope"), Arg("beta", "float", 0.5, "value at 0")),
    ),
    "LeakyRelu": Map(
        "leaky_relu", "Y = X, and alpha * X below 0.", True, args=(Arg("alpha", "float", 0.01, "slope below 0"),)
    ),
    "Log": Map("log", "Y = ln(X); -inf at 0, NaN below.", True),
    "Logit": Map(
        "logit",
        "Y = ln(X / (1 - X)) of X limited to eps..1 - eps.",
        True,
        args=(Arg("eps", "float", 1e-6, "distance kept from 0 and 1"),),
    ),
    "Mish": Map("mish", "Y = X * tanh(ln(1 + exp(X))).", types=REALS),
    "Negative": Map("negative", "Y = -X.", True, NUMBERS),
    "Reciprocal": Map("reciprocal", "Y = 1 / X.", True),
    "ReluN": Map("relu_n", "Y = min(max(X, 0), n); NaN stays.", True, args=(Arg("n", "float", 6.0, "upper end"),)),
    "Rsqrt": Map("rsqrt", "Y = 1 / sqrt(X).", True),
    "Scale": Map("scale", "Y = X * scale.", True, REALS, (Arg("scale", "float", 1.0, "the factor"),)),
    "Selu": Map(
        "selu",
        "Y = scale * X, and scale * (alpha * exp(X) - alpha) up to 0.",
        True,
        args=(
            Arg("alpha", "float", 1.6732632423543772, "minus the limit on the left, before scale"),
            Arg("scale", "float", 1.0507009873554805, "the factor of both"),
        ),
    ),
    "Sigmoid": Map("sigmoid", "Y = 1 / (1 + exp(-X)).", True),
    "Sign": Map("sign", "Y = -1, 0 or 1 by the sign of X; 0 for NaN.", types=NUMBERS),
    "Sin": Map("sin", "Y = sin(X)."),
    "Sinh": Map("sinh", "Y = sinh(X)."),
    "Softplus": Map("softplus", "Y = ln(exp(X) + 1).", True),
    "Softsign": Map("softsign", "Y = X / (1 + |X|).", True),
    "Sqr": Map("sqr", "Y = X * X.", True),
    "Sqrt": Map("sqrt", "Y = the square root of X; NaN below 0.", True, REALS),
    "Swish": Map("swish", "Y = X / (1 + exp(-X))."),
    "Tan": Map("tan", "Y = tan(X)."),
    "Tanh": Map("tanh", "Y = tanh(X).", True),
    "ThresholdedRelu": Map(
        "thresholded_relu", "Y = X above alpha, else 0.", True, args=(Arg("alpha", "float", 1.0, "the threshold"),)
    ),
}
