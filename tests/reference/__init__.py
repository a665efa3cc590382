"""Plain numpy definitions of the arithmetic, written from the rules and not from the kernels."""
