import numpy as np

class Counting:
    lo: float
    hi: float
    not_finite: int
    def __init__(
        self, x: np.ndarray, inner: int, maxima: np.ndarray, clamped: np.ndarray | None = None, top: float = ...
    ) -> None: ...
    def into(self, exponent: int, first: int, counts: np.ndarray) -> bool: ...
