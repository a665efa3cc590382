"""The int8 half that convolutions and fully connected layers share: see _layer.pyx."""
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t

from serverquant.blobs._blob cimport sq_step, sq_tensor
from serverquant.kernels.gemm._gemm cimport sq_epilogue, sq_packed
from serverquant.ops.dnnlowp._params cimport Params, room
from serverquant.runtime._plan cimport Step


# The operator behind a layer, done to the layer's bytes as soon as they are there: sets ep.after, and the parameters of
# s.out[0]. `bytes`: where the layer writes, in these parameters. SQ_OK or SQ_ERROR.
ctypedef int (*start_fn)(sq_step* s, void* ctx, uint8_t* bytes, float scale, int zero_point,
                         sq_epilogue* ep) noexcept nogil

# With a context of its own. It belongs to one step, which keeps it alive.
cdef class Tail(Step):
    cdef start_fn start
    cdef int others                 # inputs of the step, behind the layer's, that it reads; they have the output's rows
    cdef bint apart                 # the output does not hold bytes: the layer writes them elsewhere


# Weights, and what follows from them, the bias and the parameters of input and output. All arrays are [columns].
cdef struct Layer:
    int64_t columns
    # set by set_weight
    const sq_packed* packed         # NULL: nothing was prepared yet
    const int32_t* column_sums
    const int32_t* zero_points      # NULL: all are 0
    const float* weight_scales
    const int32_t* packed_bias      # a quantized bias that came with packed weights; NULL: none
    int64_t k
    int64_t block                   # neighbouring columns that share a scale
    uint64_t weight_version
    # how layer_fold takes the bias
    bint bias_by_first_scale        # quantize all of it by the first column's scale
    bint any_bias_scale             # an int32 bias is taken as it is
    # set by layer_fold
    uint64_t bias_version
    float bias_x_scale
    int32_t folded_zero_point
    bint folded_ready
    int32_t* bias
    int32_t* folded
    # set by layer_requantize and layer_dequantize
    float x_scale, y_scale
    float* multipliers
    sq_epilogue ep
    # set by set_tail
    start_fn tail                   # NULL: there is none
    void* tail_ctx
    int others
    bint apart


# A context of `nbytes`, which begins with a Layer, with the layer's arrays behind it.
cdef Layer* new_layer(Step step, size_t nbytes, int64_t columns) except NULL
# Point to a LayerWeight, which the caller keeps alive.
cdef int set_weight(Layer* layer, weight, uint64_t version) except -1

# Quantize the bias (a float or int32 Int8 tensor of [columns], or NULL) and fold the input's zero point into it, where
# something has changed. with_bias = 0 leaves the bias out of the sums. SQ_OK or SQ_ERROR.
cdef int layer_fold(sq_step* s, Layer* layer, const sq_tensor* bias, bint with_bias, float x_scale,
                    int32_t x_zero_point) noexcept nogil
# Multipliers and epilogue for an int8 output: f32(f32(x_scale * weight scale) / y_scale).
cdef void layer_requantize(Layer* layer, const Params* rule, float x_scale, float y_scale,
                           int32_t y_zero_point) noexcept nogil
# The same for a mobile operator: a fixed-point multiplier. SQ_OK or SQ_ERROR.
cdef int layer_q31(sq_step* s, Layer* layer, const Params* rule, float x_scale) noexcept nogil
# Multipliers and epilogue for a float output: fma(float(sum), f32(x_scale * weight scale), bias).
cdef void layer_dequantize(Layer* layer, float x_scale, const float* bias, bint relu) noexcept nogil
# Bytes of scratch for the layer's n outputs where they cannot lie in the step's output.
cdef inline int64_t layer_room(const Layer* layer, int64_t n) noexcept nogil:
    return room(n) if layer.apart else 0

# The parameters of the step's output: those of the bytes that the layer writes, or of what its tail makes of them. Call it
# before the product is run. SQ_OK or SQ_ERROR.
cdef int layer_output(sq_step* s, Layer* layer, uint8_t* bytes, float scale, int zero_point) noexcept nogil
