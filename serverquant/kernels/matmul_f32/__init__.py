"""fp32 products of matrices that change from run to run: see matmul_f32.h. The tiles are gemm_f32's."""
