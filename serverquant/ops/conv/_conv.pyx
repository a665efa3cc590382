"""Native steps of the convolutions."""
from libc.stdint cimport int8_t, int32_t, int64_t, uint8_t

from serverquant._base._threads cimport parallel_range, team_size
from serverquant.blobs._blob cimport SQ_ERROR, SQ_INT8, SQ_OK, SQ_PREPARE, sq_step, sq_tensor
from serverquant.kernels._bounds cimport read_bounds, sq_bounds
from serverquant.kernels.conv._conv cimport Geometry, conv_scratch_bytes, conv_u8, sq_conv_geometry
from serverquant.kernels.conv_f32._conv_f32 cimport ConvF32, conv_f32, conv_f32_scratch, conv_f32_work, sq_conv_f32
from serverquant.kernels.gemm._gemm cimport gemm_team, sq_epilogue
from serverquant.kernels.gemm_f32._gemm_f32 cimport PackedWeightF32, sq_packed_f32
from serverquant.kernels.quantize._quantize cimport dequantize_u8, min_max
from serverquant.kernels.transpose._transpose cimport transpose_2d
from serverquant.ops.dnnlowp._layer cimport (
    Layer,
    layer_fold,
    layer_output,
    layer_q31,
    layer_requantize,
    layer_room,
    new_layer,
    set_weight,
)
from serverquant.ops.dnnlowp._params cimport Params, fill, of_range, room
from serverquant.runtime._plan cimport Step, fail


cdef extern from "pairs.h" nogil:
    ctypedef struct sq_pairs:
        const sq_conv_geometry* geometry
        const int8_t* weights
        const int32_t* zero_points
        const sq_epilogue* ep
        const uint8_t* x
        uint8_t* y
        int32_t x_zero_point

    void sq_pairs_rows(const void* job, long long begin, long long end)


# ---- float ------------------------------------------------------------------------------------------------------

cdef struct FloatConv:
    sq_conv_f32 conv
    sq_bounds bounds
    const sq_packed_f32* weight     # NULL: nothing was packed yet
    unsigned long long version


cdef int run_float(sq_step* s) noexcept nogil:
    cdef FloatConv* c = <FloatConv*>s.ctx
    cdef const float* bias = <const float*>s.in_[2].data if s.n_in > 2 else NULL
    cdef void* scratch = NULL
    cdef int64_t nbytes
    cdef int team
    if c.weight == NULL or c.version != s.in_[1].version:
        return SQ_PREPARE
    c.conv.batch = s.in_[0].shape.dims[0]
    if s.out[0].shape.size == 0:
        return SQ_OK
    team = team_size(conv_f32_work(&c.conv))
    nbytes = conv_f32_scratch(&c.conv, team)
    if nbytes:
        scratch = s.scratch(s, nbytes)
        if scratch == NULL:
            return fail(s, "no memory for the convolution's scratch")
    conv_f32(&c.conv, c.weight, <const float*>s.in_[0].data, bias, &c.bounds, <float*>s.out[0].data, scratch, team)
    return SQ_OK


def float_step(ConvF32 conv, *, bounds=None) -> Step:
    """Y = convolution of X, floats, within the bounds (lo, hi); prepare with `set_float_weight`."""
    cdef Step step = Step()
    cdef FloatConv* c = <FloatConv*>step.new_context(sizeof(FloatConv))
    c.conv, c.bounds = conv.raw, read_bounds(bounds)
    step.c.run = run_float
    step.c.rows = 1
    step.kernel = conv.kernel
    step.facts = {"form": conv.form}
    return step


def set_float_weight(Step step, PackedWeightF32 weight, version) -> None:
    cdef FloatConv* c = <FloatConv*>step.c.ctx
    c.weight, c.version = &weight.raw, version
    step.keep = weight


# ---- int8 -------------------------------------------------------------------------------------------------------

cdef struct Int8Conv:
    Layer layer
    Params rule
    sq_conv_geometry geometry
    bint nchw, mobile
    int64_t in_pixels, out_pixels       # of one image
    sq_conv_f32 floats                  # finds the range of a dynamic output
    const sq_packed_f32* float_weight
    const int8_t* pairs                 # weights of a convolution that saturates as Caffe2's does, see pairs.h; or NULL
    sq_step head                        # makes X from the step's input 0; run = NULL: there is none


cdef const char* NO_ROOM = "no memory for the convolution's scratch"


# Where the parts of a run's scratch lie, in bytes.
cdef struct Layout:
    int64_t x, y, kernel, total


cdef Layout layout(const Int8Conv* c, int team) noexcept nogil:
    """NCHW images are turned around in scratch; a dynamic output's float tensors share the place with them. What a head
    makes is there too, and what goes through a tail into an output of another type."""
    cdef Layout at
    cdef int64_t pixels = c.geometry.batch * c.in_pixels
    cdef int64_t outputs = c.geometry.batch * c.out_pixels * c.geometry.out_channels
    at.x = 0
    at.y = room(pixels * c.geometry.in_channels) if c.nchw or c.head.run != NULL else 0
    at.kernel = at.y + (room(outputs) if c.nchw else layer_room(&c.layer, outputs))
    at.total = at.kernel + conv_scratch_bytes(&c.geometry, c.layer.packed, team)
    return at


cdef inline const sq_tensor* bias_of(const sq_step* s, const Int8Conv* c) noexcept nogil:
    return s.in_[2] if s.n_in - c.layer.others > 2 else NULL


cdef int find_range(sq_step* s, Int8Conv* c, float* lo, float* hi) noexcept nogil:
    """The range of the float convolution of the dequantized input; SQ_OK or SQ_ERROR."""
    cdef const sq_tensor* x = s.in_[0]
    cdef int64_t outputs = s.out[0].shape.size
    cdef const sq_tensor* b = bias_of(s, c)
    cdef const float* bias = <const float*>b.data if b != NULL else NULL
    cdef int team
    cdef char* scratch
    cdef float* fx
    cdef float* fy
    if outputs == 0:
        lo[0] = hi[0] = 0
        return SQ_OK
    c.floats.batch = x.shape.dims[0]
    team = team_size(conv_f32_work(&c.floats))
    scratch = <char*>s.scratch(s, room(x.shape.size * 4) + room(outputs * 4) + conv_f32_scratch(&c.floats, team))
    if scratch == NULL:
        return fail(s, "no memory for a float convolution, which an output without Y_scale needs")
    fx, fy = <float*>scratch, <float*>(scratch + room(x.shape.size * 4))
    dequantize_u8(<const uint8_t*>x.data, fx, x.shape.size, x.scale, x.zero_point)
    conv_f32(&c.floats, c.float_weight, fx, bias, NULL, fy, <char*>fy + room(outputs * 4), team)
    min_max(fy, outputs, lo, hi)
    return SQ_OK


cdef int set_epilogue(sq_step* s, Int8Conv* c, float x_scale, float* scale, int* zero_point) noexcept nogil:
    """The output's parameters and the epilogue; SQ_OK or SQ_ERROR."""
    cdef float lo = 0, hi = 0
    if c.mobile:
        scale[0], zero_point[0] = c.rule.scale, c.rule.zero_point
        return layer_q31(s, &c.layer, &c.rule, x_scale)
    if not c.rule.fixed and find_range(s, c, &lo, &hi) != SQ_OK:
        return SQ_ERROR
    of_range(&c.rule, lo, hi, scale, zero_point)
    layer_requantize(&c.layer, &c.rule, x_scale, scale[0], zero_point[0])
    if c.nchw:
        c.layer.ep.hi = (1 << c.rule.precision) - 1
    return SQ_OK


cdef void convolve_pairs(Int8Conv* c, const uint8_t* x, uint8_t* y, int x_zero_point, int team) noexcept nogil:
    cdef sq_pairs job
    job.geometry, job.weights, job.zero_points, job.ep = &c.geometry, c.pairs, c.layer.zero_points, &c.layer.ep
    job.x, job.y, job.x_zero_point = x, y, x_zero_point
    parallel_range(sq_pairs_rows, &job, c.geometry.batch * c.geometry.out[1], 1, team)


cdef void convolve(Int8Conv* c, const sq_tensor* x, uint8_t* y, uint8_t* scratch, const Layout* at,
                   int team) noexcept nogil:
    cdef int64_t batch = c.geometry.batch
    cdef const uint8_t* image = <const uint8_t*>x.data
    cdef uint8_t* result = y
    if c.nchw:
        transpose_2d(1, image, scratch + at.x, batch, c.geometry.in_channels, c.in_pixels)
        image, result = scratch + at.x, scratch + at.y
    if c.pairs != NULL:
        convolve_pairs(c, image, result, x.zero_point, team)
    else:
        conv_u8(&c.geometry, c.layer.packed, &c.layer.ep, x.zero_point, image, result, scratch + at.kernel, team)
    if c.nchw:
        transpose_2d(1, result, y, batch, c.out_pixels, c.geometry.out_channels)


cdef int run_head(sq_step* s, Int8Conv* c, sq_tensor* x, uint8_t* bytes) noexcept nogil:
    """x from input 0, in scratch. SQ_OK or SQ_ERROR."""
    cdef sq_step head = c.head
    cdef sq_tensor* out = x
    x.shape.kind, x.shape.size, x.shape.item_bytes = SQ_INT8, c.geometry.batch * c.in_pixels * c.geometry.in_channels, 1
    x.data = bytes
    head.in_, head.out, head.n_in, head.n_out, head.error = s.in_, &out, 1, 1, s.error
    return head.run(&head)


cdef int run_int8(sq_step* s) noexcept nogil:
    cdef Int8Conv* c = <Int8Conv*>s.ctx
    cdef const sq_tensor* x = s.in_[0]
    cdef uint8_t* y = <uint8_t*>s.out[0].data
    cdef uint8_t* scratch = NULL
    cdef sq_tensor made
    cdef float scale
    cdef int zero_point, team
    cdef Layout at
    if c.layer.packed == NULL or c.layer.weight_version != s.in_[1].version:
        return SQ_PREPARE
    c.geometry.batch = x.shape.dims[0]
    team = gemm_team(c.layer.packed, c.geometry.batch * c.out_pixels)
    at = layout(c, team)
    if c.head.run != NULL:
        scratch = <uint8_t*>s.scratch(s, at.total)
        if scratch == NULL:
            return fail(s, NO_ROOM)
        if run_head(s, c, &made, scratch + at.x) != SQ_OK:
            return SQ_ERROR
        x = &made
    if layer_fold(s, &c.layer, bias_of(s, c), True, x.scale, x.zero_point) != SQ_OK:
        return SQ_ERROR
    if set_epilogue(s, c, x.scale, &scale, &zero_point) != SQ_OK:
        return SQ_ERROR
    if c.head.run == NULL:      # not before: what finds the range of a dynamic output has used it
        scratch = <uint8_t*>s.scratch(s, at.total)
        if scratch == NULL and at.total:
            return fail(s, NO_ROOM)
    if layer_room(&c.layer, 1):
        y = scratch + at.y
    if layer_output(s, &c.layer, y, scale, zero_point) != SQ_OK:
        return SQ_ERROR
    if s.out[0].shape.size:
        convolve(c, x, y, scratch, &at, team)
    return SQ_OK


cdef Int8Conv* new_conv(Step step, Geometry geometry) except NULL:
    cdef Int8Conv* c = <Int8Conv*>new_layer(step, sizeof(Int8Conv), geometry.raw.out_channels)
    cdef int i
    c.geometry = geometry.raw
    c.in_pixels = c.out_pixels = 1
    for i in range(3):
        c.in_pixels *= geometry.raw.in_[i]
        c.out_pixels *= geometry.raw.out[i]
    step.c.run = run_int8
    step.c.rows = 1
    step.kernel = "conv_u8"
    return c


def int8_step(Geometry geometry, options, *, bint relu, bint nchw, ConvF32 floats=None) -> Step:
    """Y = convolution of X, uint8 both; prepare with `set_int8_weight`.

    options: the operator's `Options`. relu: the operator has a Relu of its own. floats: the float convolution that
    finds the range of an output without static parameters.
    """
    cdef Step step = Step()
    cdef Int8Conv* c = new_conv(step, geometry)
    fill(&c.rule, options, relu)
    c.nchw = nchw
    if floats is not None:
        c.floats = floats.raw
    return step


def mobile_step(Geometry geometry, float scale, int zero_point, *, bint relu) -> Step:
    """The same with the fixed-point arithmetic of the mobile set, NHWC; the output has these parameters."""
    cdef Step step = Step()
    cdef Int8Conv* c = new_conv(step, geometry)
    c.mobile, c.layer.any_bias_scale = True, True
    c.rule.scale, c.rule.zero_point, c.rule.clamp = scale, zero_point, relu
    return step


def set_int8_weight(Step step, weight, version, PackedWeightF32 float_weight=None, pairs=None) -> None:
    """Point the step to a `LayerWeight`, which it keeps alive, to the weights of its float convolution, if any, and to
    int8 [9, channels] for the saturating convolution of pairs.h, if it is to be that one."""
    cdef Int8Conv* c = <Int8Conv*>step.c.ctx
    cdef const int8_t[:, ::1] taps = pairs
    set_weight(&c.layer, weight, version)
    if float_weight is not None:
        c.float_weight = &float_weight.raw
    c.pairs = NULL if pairs is None else &taps[0, 0]
    step.keep = weight, float_weight
    step.kernel = weight.packed.row if pairs is None else "saturating pairs"


def set_head(Step step, Step head) -> None:
    """Have the step make its X from what is there instead, by a step of one input that needs no scratch."""
    (<Int8Conv*>step.c.ctx).head = head.c
    step.parts.append(head)
    step.facts["from"] = head.kernel
