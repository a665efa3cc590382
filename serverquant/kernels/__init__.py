"""Native kernels, one folder a family; `table` lists every row. See docs/add_kernel.md."""
