from serverquant.runtime._plan import Step

def grid_step(
    kernel: str,
    rows: int,
    dims: list[int],
    a_strides: list[int],
    b_strides: list[int],
    swapped: bool = False,
    no_zeros: bool = False,
) -> Step: ...
def power_step(exponent: float) -> Step: ...
def fold_step(kernel: str, count: int) -> Step: ...
def affine_step(channels: int, inner: int, batched: bool = True) -> Step: ...
