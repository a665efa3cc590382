from serverquant.ops.dnnlowp.options import Options
from serverquant.runtime._plan import Step

def lstm_step(
    options: Options, second: Options, floats: Step, *, forget_bias: float, lengths: bool, drop: bool
) -> Step: ...
