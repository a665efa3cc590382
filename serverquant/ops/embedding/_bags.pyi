from serverquant.runtime._plan import Step

def bags_step(
    bits: int,
    columns: int,
    stride: int,
    *,
    weighted: bool,
    positional: bool,
    mean: bool,
    apart: int,
    mapping: int,
) -> Step: ...
