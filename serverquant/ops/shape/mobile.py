"""Reshape, Flatten and Transpose of the mobile set (no engine): Int8 tensors, whose parameters are kept."""

from __future__ import annotations

from serverquant.ops.dnnlowp.kept import Int8Movement
from serverquant.ops.shape.float import Flatten, Reshape, Transpose
from serverquant.runtime.registry import register


@register("Int8Reshape")
class Int8Reshape(Int8Movement, Reshape):
    """The same elements in another shape; output 1 holds the old one."""


@register("Int8Flatten")
class Int8Flatten(Int8Movement, Flatten):
    """As a matrix."""


@register("Int8Transpose")
class Int8Transpose(Int8Movement, Transpose):
    """Permutes the axes."""
