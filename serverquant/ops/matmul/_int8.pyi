import numpy as np

from serverquant.ops.dnnlowp.options import Options
from serverquant.runtime._plan import Step

def product_step(options: Options, floats: Step, *, trans_a: bool, trans_b: bool, constant: bool) -> Step: ...
def set_weight(step: Step, weight: np.ndarray, scales: np.ndarray, version: int) -> None: ...
