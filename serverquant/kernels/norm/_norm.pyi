import numpy as np
import numpy.typing as npt

from serverquant.kernels.row import KernelRow

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int32]
Counts = npt.NDArray[np.uint64]

def rows() -> list[KernelRow]: ...
def py_fold_norm(
    scale: Floats, bias: Floats, mean: Floats, var: Floats, epsilon: float, alpha: Floats, beta: Floats
) -> None: ...
def py_affine_channels(
    x: Floats, y: Floats, alpha: Floats, beta: Floats, bounds: tuple[float, float] | None = None
) -> None: ...
def py_row_norm(
    x: Floats,
    y: Floats,
    mean: Floats | None,
    sigma: Floats,
    epsilon: float,
    gamma: Floats | None = None,
    beta: Floats | None = None,
) -> None: ...
def py_row_sums(x: Floats, sums: Doubles, centre: Floats | None = None) -> None: ...
def py_column_sums(x: Floats, sums: Doubles, centre: Floats | None = None) -> None: ...
def py_local_response(
    x: Floats, y: Floats, scale: Floats, size: int, alpha: float, beta: float, bias: float, *, nhwc: bool
) -> None: ...
def channel_sums_u8(x: Bytes, sums: Counts, squares: Counts, *, nhwc: bool) -> None: ...
def group_u8(
    x: Bytes,
    y: Bytes,
    scale: Ints,
    bias: Ints,
    *,
    nhwc: bool,
    multiplier: int,
    half: int,
    shift: int,
    factor: float,
    zero_point: int,
    hi: int,
) -> None: ...
