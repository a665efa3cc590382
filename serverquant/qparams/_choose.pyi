import numpy as np

def choose_native(lo: float, hi: float, precision: int, symmetric: bool, power_of_two: bool) -> tuple[float, int]: ...
def find_min_max_native(x: np.ndarray) -> tuple[float, float]: ...
def quantize_native(
    x: np.ndarray,
    y8: np.ndarray | None,
    y16: np.ndarray | None,
    inverse: float,
    zero_point: float,
    lo: float,
    hi: float,
    fused: bool,
) -> None: ...
def quantize_bias_native(b: np.ndarray, y: np.ndarray, inverse: float) -> None: ...
