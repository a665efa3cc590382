"""Parameters of a range, for code that runs without the interpreter lock (dynamic quantization)."""

cdef void choose_c(
    float lo, float hi, int precision, bint symmetric, bint power_of_two, float* scale, int* zero_point
) noexcept nogil
cdef void find_min_max_c(const float* x, Py_ssize_t n, float* lo, float* hi) noexcept nogil
