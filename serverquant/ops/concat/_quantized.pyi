from serverquant.ops.dnnlowp.options import Options
from serverquant.runtime._plan import Step

def concat_step(options: Options, floats: Step, parts: int) -> Step: ...
