"""Quantization parameters while a step runs."""
from serverquant.blobs._blob cimport SQ_INT8, sq_tensor
from serverquant.kernels.quantize._quantize cimport min_max, quantize_u8, quantize_wide_u8
from serverquant.qparams._choose cimport choose_c


cdef int fill(Params* p, options, bint relu=False) except -1:
    p.fixed = options.output is not None
    if p.fixed:
        p.scale, p.zero_point = options.output.scale, options.output.zero_point
    p.precision = options.activation_precision
    p.symmetric, p.power_of_two = options.symmetric_activations, options.power_of_two
    p.relu, p.clamp, p.dequantize = options.relu, relu, options.dequantize_output
    return 0


cdef void of_input(const Params* p, const sq_tensor* x, float* scale, int* zero_point) noexcept nogil:
    cdef float lo, hi
    if x.shape.kind == SQ_INT8:
        scale[0], zero_point[0] = x.scale, x.zero_point
        return
    min_max(<const float*>x.data, x.shape.size, &lo, &hi)
    choose_c(lo, hi, p.precision, p.symmetric, p.power_of_two, scale, zero_point)


cdef void quantize_input(const Params* p, const sq_tensor* x, uint8_t* q, float scale, int zero_point) noexcept nogil:
    if p.precision == 8:
        quantize_u8(<const float*>x.data, q, x.shape.size, scale, zero_point)
    else:
        quantize_wide_u8(<const float*>x.data, q, x.shape.size, scale, zero_point, p.precision)


cdef void of_range(const Params* p, float lo, float hi, float* scale, int* zero_point) noexcept nogil:
    if p.fixed:
        scale[0], zero_point[0] = p.scale, p.zero_point
        return
    if p.relu:
        lo, hi = (lo if lo > 0 else 0), (hi if hi > 0 else 0)
    choose_c(lo, hi, p.precision, p.symmetric, p.power_of_two, scale, zero_point)


cdef void of_output(const Params* p, const float* values, long long n, float* scale, int* zero_point) noexcept nogil:
    cdef float lo = 0, hi = 0
    if not p.fixed:
        min_max(values, n, &lo, &hi)
    of_range(p, lo, hi, scale, zero_point)
