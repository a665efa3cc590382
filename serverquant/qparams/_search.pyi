import numpy as np

ALL_RANGES: int
FROM_FIRST: int
AROUND_ZERO: int

def count_native(x: np.ndarray, lo: float, width: float, counts: np.ndarray) -> None: ...
def search_norm(
    norm: str, counts: np.ndarray, width: float, precision: int, around: int, zero: int
) -> tuple[int, int]: ...
def search_kl(counts: np.ndarray, precision: int, around: int, zero: int) -> tuple[int, int]: ...
