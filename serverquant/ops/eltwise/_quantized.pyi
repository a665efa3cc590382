from serverquant.ops.dnnlowp.options import Options
from serverquant.runtime._plan import Step

def mul_step(options: Options, floats: Step, channels: int, inner: int) -> Step: ...
