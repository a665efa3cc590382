"""What is known of a parameter of a model."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any


class ParameterTags:
    BIAS = "BIAS"
    WEIGHT = "WEIGHT"
    COMPUTED_PARAM = "COMPUTED_PARAM"


@dataclass
class ParameterInfo:
    """A parameter: its blob, its shape, copies in other precisions."""

    param_id: int | None
    param: Any
    key: Any = None
    shape: Any = None
    length: int = 1
    grad: Any = None
    blob_copy: Any = None
    optimizer: Any = None
    regularizer: Any = None

    @property
    def blob(self) -> Any:
        return self.param

    @property
    def parameter(self) -> Any:
        return self.param

    @property
    def name(self) -> str:
        return str(self.param)

    @property
    def size(self) -> int | None:
        return None if self.shape is None else math.prod(self.shape)

    def __str__(self) -> str:
        return self.name
