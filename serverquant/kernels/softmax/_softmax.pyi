import numpy as np
import numpy.typing as npt

from serverquant.kernels.row import KernelRow

Floats = npt.NDArray[np.float32]

def rows() -> list[KernelRow]: ...
def py_softmax_f32(x: Floats, y: Floats) -> None: ...
def py_softmax_u8(x: npt.NDArray[np.uint8], y: npt.NDArray[np.uint8], table: npt.NDArray[np.uint32]) -> None: ...
