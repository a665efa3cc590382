"""fp32 matrix products with the same bytes on every instruction set: see gemm_f32.h."""
