"""Native steps of the fully connected layers."""
from libc.stdint cimport int32_t, int64_t, uint8_t
from libc.string cimport memset

from serverquant._base._threads cimport team_size
from serverquant.blobs._blob cimport SQ_ERROR, SQ_INT8, SQ_OK, SQ_PREPARE, sq_step, sq_tensor
from serverquant.kernels._bounds cimport read_bounds, sq_bounds
from serverquant.kernels.gemm._gemm cimport gemm_u8
from serverquant.kernels.gemm_f32._gemm_f32 cimport PackedWeightF32, gemm_f32, sq_packed_f32
from serverquant.kernels.quantize._quantize cimport dequantize_u8
from serverquant.ops.dnnlowp._layer cimport (
    Layer,
    layer_dequantize,
    layer_fold,
    layer_output,
    layer_q31,
    layer_requantize,
    layer_room,
    new_layer,
    set_weight,
)
from serverquant.ops.dnnlowp._params cimport Params, fill, of_input, of_output, quantize_input, room
from serverquant.runtime._plan cimport Step, fail


# ---- float ---------------------------------------------------------------------------------------------------------

cdef struct FloatFC:
    int64_t n, k
    sq_bounds bounds
    const sq_packed_f32* weight     # NULL: nothing was packed yet
    unsigned long long version


cdef void multiply(const sq_packed_f32* weight, const float* x, const float* bias, float* y, int64_t rows, int64_t n,
                   int64_t k, const sq_bounds* bounds) noexcept nogil:
    gemm_f32(weight, 0, x, rows, k, bias, bounds, y, n, team_size(rows * n * k))


cdef int run_float(sq_step* s) noexcept nogil:
    cdef FloatFC* c = <FloatFC*>s.ctx
    if c.weight == NULL or c.version != s.in_[1].version:
        return SQ_PREPARE
    if s.out[0].shape.size:
        multiply(c.weight, <float*>s.in_[0].data, <float*>s.in_[2].data, <float*>s.out[0].data,
                 s.out[0].shape.size // c.n, c.n, c.k, &c.bounds)
    return SQ_OK


def float_step(int64_t n, int64_t k, *, bint batched, bounds=None) -> Step:
    """Y = X W^T + b, within the bounds (lo, hi); prepare with `set_float_weight`. batched: X's first dim is a batch."""
    cdef Step step = Step()
    cdef FloatFC* c = <FloatFC*>step.new_context(sizeof(FloatFC))
    c.n, c.k, c.bounds = n, k, read_bounds(bounds)
    step.c.run = run_float
    step.c.rows = batched
    step.kernel = "gemm_f32"
    return step


def set_float_weight(Step step, PackedWeightF32 weight, version) -> None:
    cdef FloatFC* c = <FloatFC*>step.c.ctx
    c.weight, c.version = &weight.raw, version
    step.keep = weight
    step.kernel = weight.row


# ---- int8 ----------------------------------------------------------------------------------------------------------

cdef class FirstRun:
    """What an operator keeps from its first run, whatever shapes follow (a defect of Caffe2; unused when fixed)."""
    cdef bint known
    cdef float x_scale, y_scale
    cdef int y_zero_point


cdef struct Int8FC:
    Layer layer
    Params rule
    int64_t n, k
    bint mobile, fix
    bint* known                     # of the operator's FirstRun
    float* x_scale
    float* y_scale
    int* y_zero_point
    const sq_packed_f32* float_weight       # finds the range of a dynamic output
    const float* packed_bias_scales
    unsigned long long output_version       # of input 3, which holds the output's parameters


cdef struct Scratch:
    uint8_t* x                      # X quantized, if it came as float
    float* values                   # the float product (dynamic)
    float* floats                   # X dequantized (dynamic)
    float* bias                     # b as float (dequantized output)
    uint8_t* y                      # the layer's output, where the step's is another


cdef bint find_scratch(sq_step* s, const Int8FC* c, int64_t rows, Scratch* at) noexcept nogil:
    cdef bint is_float = s.in_[0].shape.kind != SQ_INT8
    cdef bint dynamic = not c.rule.fixed and not c.rule.dequantize and not c.mobile
    cdef int64_t x = room(rows * c.k) if is_float else 0
    cdef int64_t values = room(rows * c.n * 4) if dynamic else 0
    cdef int64_t floats = room(rows * c.k * 4) if dynamic and not is_float else 0
    cdef int64_t bias = room(c.n * 4) if c.rule.dequantize else 0
    cdef int64_t y = layer_room(&c.layer, rows * c.n)
    cdef char* base
    memset(at, 0, sizeof(Scratch))
    at.y = <uint8_t*>s.out[0].data
    if x + values + floats + bias + y == 0:
        return True
    base = <char*>s.scratch(s, x + values + floats + bias + y)
    at.x, at.values = <uint8_t*>base, <float*>(base + x)
    at.floats, at.bias = <float*>(base + x + values), <float*>(base + x + values + floats)
    if y:
        at.y = <uint8_t*>(base + x + values + floats + bias)
    return base != NULL


cdef void choose_output(sq_step* s, Int8FC* c, const Scratch* at, float sx, int zx, int64_t rows, float* sy,
                        int* zy) noexcept nogil:
    """Parameters of an int8 output: fixed, or from the float product in the first run (fixed defects: every run)."""
    cdef const float* x = <const float*>s.in_[0].data
    if c.known[0] and not c.fix:
        sy[0], zy[0] = c.y_scale[0], c.y_zero_point[0]
        return
    if not c.rule.fixed:
        if s.in_[0].shape.kind == SQ_INT8:
            dequantize_u8(<const uint8_t*>s.in_[0].data, at.floats, rows * c.k, sx, zx)
            x = at.floats
        multiply(c.float_weight, x, <const float*>s.in_[2].data, at.values, rows, c.n, c.k, NULL)
    of_output(&c.rule, at.values, rows * c.n, sy, zy)
    c.x_scale[0], c.y_scale[0], c.y_zero_point[0] = sx, sy[0], zy[0]
    c.known[0] = True


cdef void float_bias(const Int8FC* c, const sq_tensor* b, float sx, float* out) noexcept nogil:
    """b as it is added to a float output."""
    cdef int64_t i
    cdef float scale
    for i in range(c.n):
        if c.layer.packed_bias != NULL:
            out[i] = <float>c.layer.packed_bias[i] * c.packed_bias_scales[i]
        elif b.shape.kind == SQ_INT8:
            scale = sx * c.layer.weight_scales[i]
            out[i] = <float>(<const int32_t*>b.data)[i] * scale
        else:
            out[i] = (<const float*>b.data)[i]


cdef int run_int8(sq_step* s) noexcept nogil:
    cdef Int8FC* c = <Int8FC*>s.ctx
    cdef const sq_tensor* x = s.in_[0]
    cdef int64_t rows = s.out[0].shape.size // c.n
    cdef const uint8_t* q = <const uint8_t*>x.data
    cdef Scratch at
    cdef float sx, sy = 0
    cdef int zx, zy = 0
    if c.layer.packed == NULL or c.layer.weight_version != s.in_[1].version:
        return SQ_PREPARE
    if s.n_in - c.layer.others > 3 and c.output_version != s.in_[3].version:
        return SQ_PREPARE
    of_input(&c.rule, x, &sx, &zx)
    if not find_scratch(s, c, rows, &at):
        return fail(s, "no memory for scratch")
    if x.shape.kind != SQ_INT8:
        quantize_input(&c.rule, x, at.x, sx, zx)
        q = at.x
    if layer_fold(s, &c.layer, s.in_[2], not c.rule.dequantize, sx, zx) != SQ_OK:
        return SQ_ERROR
    if c.mobile:
        sy, zy = c.rule.scale, c.rule.zero_point
        if layer_q31(s, &c.layer, &c.rule, sx) != SQ_OK:
            return SQ_ERROR
    elif c.rule.dequantize:
        float_bias(c, s.in_[2], sx, at.bias)
        layer_dequantize(&c.layer, sx, at.bias, c.rule.clamp)
    else:
        choose_output(s, c, &at, sx, zx, rows, &sy, &zy)
        layer_requantize(&c.layer, &c.rule, sx if c.fix else c.x_scale[0], sy, zy)
    if not c.rule.dequantize and layer_output(s, &c.layer, at.y, sy, zy) != SQ_OK:
        return SQ_ERROR
    if rows:
        gemm_u8(q, rows, c.k, c.layer.packed, &c.layer.ep, at.y, c.n)
    return SQ_OK


cdef Int8FC* new_fc(Step step, int64_t n, int64_t k) except NULL:
    cdef Int8FC* c = <Int8FC*>new_layer(step, sizeof(Int8FC), n)
    c.n, c.k = n, k
    step.c.run = run_int8
    step.kernel = "gemm_u8"
    return c


def int8_step(int64_t n, int64_t k, options, *, bint relu, bint batched, bint fix, bint by_row, FirstRun first_run) -> Step:
    """Y = X W^T + b on Int8 tensors; prepare with `set_int8_weight`.

    fix: without the defects of Caffe2. by_row: each row of W has parameters of its own. first_run: the operator's.
    """
    cdef Step step = Step()
    cdef Int8FC* c = new_fc(step, n, k)
    fill(&c.rule, options, relu)
    c.fix, c.layer.bias_by_first_scale = fix, by_row and not fix
    c.known, c.x_scale = &first_run.known, &first_run.x_scale
    c.y_scale, c.y_zero_point = &first_run.y_scale, &first_run.y_zero_point
    step.c.rows = batched
    step.parts.append(first_run)
    return step


def mobile_step(int64_t n, int64_t k, float scale, int zero_point) -> Step:
    """The same with the fixed-point arithmetic of the mobile set; the output has these parameters."""
    cdef Step step = Step()
    cdef Int8FC* c = new_fc(step, n, k)
    c.mobile, c.layer.any_bias_scale = True, True
    c.rule.fixed, c.rule.scale, c.rule.zero_point, c.rule.precision = True, scale, zero_point, 8
    step.c.rows = 1
    return step


def set_int8_weight(Step step, weight, version, PackedWeightF32 float_weight=None) -> None:
    """Point the step to a `LayerWeight`, which it keeps alive, and to the weights of its float product, if any."""
    cdef Int8FC* c = <Int8FC*>step.c.ctx
    cdef const float[::1] scales
    set_weight(&c.layer, weight, version)
    if weight.bias is not None:
        scales = weight.bias_scales
        c.packed_bias_scales = &scales[0]
    if float_weight is not None:
        c.float_weight = &float_weight.raw
    step.keep = weight, float_weight
    step.kernel = weight.packed.row


def set_output_params(Step step, float scale, int zero_point, version) -> None:
    """Parameters of the output that a blob of that version holds."""
    cdef Int8FC* c = <Int8FC*>step.c.ctx
    if c.output_version == version:
        return
    c.rule.fixed, c.rule.scale, c.rule.zero_point, c.output_version = True, scale, zero_point, version
    c.known[0] = False
