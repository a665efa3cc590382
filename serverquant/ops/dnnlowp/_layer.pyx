"""Convolutions and fully connected layers at run time: bias, zero points and multipliers follow the scales natively.

Weights are packed by Python (`prepare`) when their blob changes. Everything that depends on scales and zero points is a
row of [columns] numbers, redone here when one of them differs from the last run's.
"""
from libc.math cimport fabs
from libc.string cimport memset

from serverquant.blobs._blob cimport SQ_ERROR, SQ_INT8, SQ_OK
from serverquant.kernels.gemm._gemm cimport SQ_DEQUANT_F32, SQ_REQUANT_F32, SQ_REQUANT_Q31, PackedWeight
from serverquant.kernels.quantize._quantize cimport quantize_wide_s32
from serverquant.runtime._plan cimport fail

cdef extern from "../kernels/gemm/gemm.h" nogil:
    void sq_fold(const int32_t* column_sums, const int32_t* zero_points, const int32_t* bias, int64_t columns,
                 int64_t k, int32_t zx, int32_t* out)
    void sq_q31_split(float ratio, int32_t* multiplier, int32_t* shift)

cdef double BIAS_SCALE_TOLERANCE = 1e-4     # absolute, as in Caffe2


cdef Layer* new_layer(Step step, size_t nbytes, int64_t columns) except NULL:
    cdef size_t begin = (nbytes + 63) // 64 * 64
    cdef Layer* layer = <Layer*>step.new_context(begin + columns * 12)
    layer.columns = columns
    layer.bias = <int32_t*>(<char*>layer + begin)
    layer.folded = layer.bias + columns
    layer.multipliers = <float*>(layer.folded + columns)
    return layer


cdef int set_weight(Layer* layer, weight, uint64_t version) except -1:
    cdef PackedWeight packed = weight.packed
    cdef const float[::1] scales = weight.scales
    cdef const int32_t[::1] sums = packed.column_sums
    cdef const int32_t[::1] zero_points = packed.zero_points
    cdef const int32_t[::1] bias
    if sums.shape[0] != layer.columns or scales.shape[0] != layer.columns:
        raise AssertionError("weights were prepared for another number of columns")
    layer.packed, layer.k = &packed.raw, packed.k
    layer.column_sums, layer.weight_scales = &sums[0], &scales[0]
    layer.zero_points = &zero_points[0] if packed.has_zero_points else NULL
    layer.block = layer.columns // weight.blocks
    layer.packed_bias = NULL
    if weight.bias is not None:
        bias = weight.bias
        layer.packed_bias = &bias[0]
    layer.weight_version = version
    layer.folded_ready, layer.x_scale = False, 0
    return 0


cdef int quantize_bias(sq_step* s, Layer* layer, const sq_tensor* bias, float x_scale) noexcept nogil:
    """layer.bias from a float or int32 bias; SQ_OK or SQ_ERROR."""
    cdef float scale = x_scale * layer.weight_scales[0]
    cdef int64_t block = layer.columns if layer.bias_by_first_scale else layer.block
    cdef int64_t c = 0
    if bias == NULL:
        memset(layer.bias, 0, layer.columns * sizeof(int32_t))
    elif bias.shape.kind == SQ_INT8:
        if not layer.any_bias_scale and fabs(<double>bias.scale - scale) > BIAS_SCALE_TOLERANCE:
            return fail(s, "the bias has scale %.9g; it must be within 1e-4 of the input's scale times the weight's, "
                        "%.9g * %.9g = %.9g", bias.scale, x_scale, layer.weight_scales[0], scale)
        if bias.zero_point != 0:
            return fail(s, "the bias has zero point %d; it must be 0", bias.zero_point)
        for c in range(layer.columns):
            layer.bias[c] = (<const int32_t*>bias.data)[c]
    else:
        while c < layer.columns:
            scale = x_scale * layer.weight_scales[c]
            quantize_wide_s32(<const float*>bias.data + c, layer.bias + c, block, scale, 0, 32)
            c += block
    return SQ_OK


cdef int layer_fold(sq_step* s, Layer* layer, const sq_tensor* bias, bint with_bias, float x_scale,
                    int32_t x_zero_point) noexcept nogil:
    cdef const int32_t* start = layer.bias
    cdef bint own = with_bias and layer.packed_bias == NULL
    cdef uint64_t version = bias.version if own and bias != NULL else 0
    if layer.folded_ready and layer.folded_zero_point == x_zero_point and not (
            own and (version != layer.bias_version or x_scale != layer.bias_x_scale)):
        return SQ_OK
    layer.folded_ready = False
    if not with_bias:
        start = NULL
    elif not own:
        start = layer.packed_bias
    elif quantize_bias(s, layer, bias, x_scale) != SQ_OK:
        return SQ_ERROR
    sq_fold(layer.column_sums, layer.zero_points, start, layer.columns, layer.k, x_zero_point, layer.folded)
    layer.bias_version, layer.bias_x_scale = version, x_scale
    layer.folded_zero_point, layer.folded_ready = x_zero_point, True
    return SQ_OK


cdef void layer_requantize(Layer* layer, const Params* rule, float x_scale, float y_scale,
                           int32_t y_zero_point) noexcept nogil:
    cdef sq_epilogue* ep = &layer.ep
    cdef int64_t c
    ep.kind, ep.bias, ep.multiplier = SQ_REQUANT_F32, layer.folded, layer.multipliers
    ep.per_column = layer.block != layer.columns
    ep.zero_point, ep.hi = y_zero_point, 255     # whatever activation_precision says, as in Caffe2
    ep.lo = y_zero_point if rule.clamp else 0
    if x_scale == layer.x_scale and y_scale == layer.y_scale:
        return
    for c in range(layer.columns if ep.per_column else 1):
        layer.multipliers[c] = x_scale * layer.weight_scales[c] / y_scale
    layer.x_scale, layer.y_scale = x_scale, y_scale


cdef int layer_q31(sq_step* s, Layer* layer, const Params* rule, float x_scale) noexcept nogil:
    cdef sq_epilogue* ep = &layer.ep
    cdef float ratio = x_scale * layer.weight_scales[0] / rule.scale
    if not (ratio >= 2.0**-32 and ratio < 1):
        return fail(s, "the ratio of scales, input %g * weights %g / output %g, is %g; it must be less than 1, and at "
                       "least 2^-32", x_scale, layer.weight_scales[0], rule.scale, ratio)
    ep.kind, ep.bias, ep.per_column = SQ_REQUANT_Q31, layer.folded, False
    ep.zero_point, ep.hi = rule.zero_point, 255
    ep.lo = rule.zero_point if rule.clamp else 0
    sq_q31_split(ratio, &ep.q31_multiplier, &ep.q31_shift)
    return SQ_OK


cdef void layer_dequantize(Layer* layer, float x_scale, const float* bias, bint relu) noexcept nogil:
    cdef sq_epilogue* ep = &layer.ep
    cdef int64_t c
    ep.kind, ep.bias, ep.multiplier, ep.bias_f32 = SQ_DEQUANT_F32, layer.folded, layer.multipliers, bias
    ep.per_column, ep.relu = layer.block != layer.columns, relu
    for c in range(layer.columns if ep.per_column else 1):
        layer.multipliers[c] = x_scale * layer.weight_scales[c]


cdef int layer_output(sq_step* s, Layer* layer, uint8_t* bytes, float scale, int zero_point) noexcept nogil:
    if layer.tail != NULL:
        return layer.tail(s, layer.tail_ctx, bytes, scale, zero_point, &layer.ep)
    s.out[0].scale, s.out[0].zero_point = scale, zero_point
    return SQ_OK


cdef class Tail(Step):
    """What a layer's step does to its output: the operator behind the layer."""


def set_tail(Step step, Tail tail, int own) -> None:
    """Have a layer's step of `own` inputs do `tail`, whose inputs come behind those."""
    cdef Layer* layer = <Layer*>step.c.ctx
    cdef int i
    layer.tail, layer.tail_ctx, layer.others, layer.apart = tail.start, tail.c.ctx, tail.others, tail.apart
    for i in range(own, own + tail.others):
        step.c.rows |= (step.c.rows & 1) << i
    step.parts.append(tail)
    step.facts["then"] = tail.kernel
