from typing import Any

import numpy as np

from serverquant.kernels.row import KernelRow

def rows() -> list[KernelRow]: ...
def py_map(
    name: str, x: Any, y: np.ndarray | None = None, a: float = 0, b: float = 0, n: int = 1, flag: bool = False
) -> np.ndarray: ...
def py_relu_u8(x: np.ndarray, y: np.ndarray, zero_point: int) -> None: ...
