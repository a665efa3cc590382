import numpy as np

def channel_sums_u8(x: np.ndarray, sums: np.ndarray, squares: np.ndarray, *, nhwc: bool) -> None: ...
def group_u8(
    x: np.ndarray,
    y: np.ndarray,
    scale: np.ndarray,
    bias: np.ndarray,
    *,
    nhwc: bool,
    multiplier: int,
    half: int,
    shift: int,
    factor: float,
    zero_point: int,
    hi: int,
) -> None: ...
