"""Products of matrices: MatMul and BatchMatMul."""
