import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int32]

def nms(boxes: Floats, order: Indices, threshold: float, top: int, plus_one: bool) -> Indices: ...
def soft_nms(
    boxes: Floats,
    scores: Floats,
    chosen: Indices,
    gaussian: bool,
    sigma: float,
    threshold: float,
    least: float,
    plus_one: bool,
) -> Indices: ...
def rotated_common(box1: Floats, box2: Floats) -> float: ...
