"""What the operators of engine DNNLOWP have in common: arguments, output parameters, quantized weights."""
