"""Native steps of Quantize and Dequantize."""
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t
from libc.string cimport memcpy

from serverquant.blobs._blob cimport SQ_INT8, SQ_OK, sq_step, sq_tensor
from serverquant.kernels.gemm._gemm cimport sq_epilogue
from serverquant.kernels.quantize._quantize cimport (
    dequantize_s32,
    dequantize_u8,
    dequantize_u8_job,
    dequantize_u16,
    quantize_mobile_u8,
    sq_dequantize_job,
)
from serverquant.kernels.quantize._turned cimport quantize_turned
from serverquant.kernels.transpose._transpose cimport transpose_2d
from serverquant.ops.dnnlowp._layer cimport Tail
from serverquant.ops.dnnlowp._params cimport Params, fill, of_input, quantize_input
from serverquant.runtime._plan cimport Step


cdef int pass_on(sq_tensor* x, sq_tensor* y) noexcept nogil:
    if x.data != y.data:
        memcpy(y.data, x.data, x.shape.size * x.shape.item_bytes)
    y.scale, y.zero_point = x.scale, x.zero_point
    return SQ_OK


cdef int run_quantize(sq_step* s) noexcept nogil:
    cdef Params* p = <Params*>s.ctx
    cdef sq_tensor* x = s.in_[0]
    cdef sq_tensor* y = s.out[0]
    cdef float scale = p.scale
    cdef int zero_point = p.zero_point
    if x.shape.kind == SQ_INT8:
        return pass_on(x, y)
    if not p.fixed:
        of_input(p, x, &scale, &zero_point)
    quantize_input(p, x, <uint8_t*>y.data, scale, zero_point)
    y.scale, y.zero_point = scale, zero_point
    return SQ_OK


def quantize_step(options) -> Step:
    """Server set: fixed parameters, or those of the input's range."""
    cdef Step step = Step()
    fill(<Params*>step.new_context(sizeof(Params)), options)
    step.c.run = run_quantize
    step.c.rows = 1
    step.kernel = "quantize_u8"
    return step


cdef struct Mobile:
    float scale
    int zero_point

cdef int run_mobile_quantize(sq_step* s) noexcept nogil:
    cdef Mobile* c = <Mobile*>s.ctx
    cdef sq_tensor* x = s.in_[0]
    quantize_mobile_u8(<float*>x.data, <uint8_t*>s.out[0].data, x.shape.size, c.scale, c.zero_point)
    s.out[0].scale, s.out[0].zero_point = c.scale, c.zero_point
    return SQ_OK


def mobile_quantize_step(float scale, int zero_point) -> Step:
    """Mobile set."""
    cdef Step step = Step()
    cdef Mobile* c = <Mobile*>step.new_context(sizeof(Mobile))
    c.scale, c.zero_point = scale, zero_point
    step.c.run = run_mobile_quantize
    step.c.rows = 1
    step.kernel = "quantize_mobile_u8"
    return step


cdef struct Turned:
    float scale
    int zero_point, bits

cdef int run_turned(sq_step* s) noexcept nogil:
    cdef Turned* c = <Turned*>s.ctx
    cdef sq_tensor* x = s.in_[0]
    cdef sq_tensor* y = s.out[0]
    cdef int64_t batch = x.shape.dims[0], channels = x.shape.dims[1]
    cdef int64_t pixels = x.shape.size // (batch * channels) if x.shape.size else 0
    if x.shape.kind == SQ_INT8:
        transpose_2d(1, x.data, y.data, batch, channels, pixels)
        y.scale, y.zero_point = x.scale, x.zero_point
    else:
        quantize_turned(<float*>x.data, <uint8_t*>y.data, batch, channels, pixels, c.scale, c.zero_point, c.bits)
        y.scale, y.zero_point = c.scale, c.zero_point
    return SQ_OK


def turned_step(float scale, int zero_point, int bits) -> Step:
    """NCHW2NHWC, then Quantize, by fixed parameters; bits: of the server set, 0: the mobile set. Bytes are only moved."""
    cdef Step step = Step()
    cdef Turned* c = <Turned*>step.new_context(sizeof(Turned))
    c.scale, c.zero_point, c.bits = scale, zero_point, bits
    step.c.run = run_turned
    step.c.rows = 1
    step.kernel = "quantize_turned"
    return step


cdef int start_dequantize(sq_step* s, void* ctx, uint8_t* bytes, float scale, int zero_point,
                          sq_epilogue* ep) noexcept nogil:
    cdef sq_dequantize_job* job = <sq_dequantize_job*>ctx
    ep.after = dequantize_u8_job(job, bytes, <float*>s.out[0].data, scale, zero_point)
    ep.after_job = job
    return SQ_OK


def dequantize_tail() -> Tail:
    """Of a layer's output."""
    cdef Tail tail = Tail()
    tail.new_context(sizeof(sq_dequantize_job))
    tail.start, tail.apart, tail.kernel = start_dequantize, True, "dequantize"
    return tail


cdef int run_dequantize(sq_step* s) noexcept nogil:
    cdef sq_tensor* x = s.in_[0]
    cdef float* y = <float*>s.out[0].data
    if x.shape.kind != SQ_INT8:
        return pass_on(x, s.out[0])
    if x.shape.item_bytes == 1:
        dequantize_u8(<uint8_t*>x.data, y, x.shape.size, x.scale, x.zero_point)
    elif x.shape.item_bytes == 2:
        dequantize_u16(<uint16_t*>x.data, y, x.shape.size, x.scale, x.zero_point)
    else:
        dequantize_s32(<int32_t*>x.data, y, x.shape.size, x.scale, x.zero_point)
    return SQ_OK


def dequantize_step() -> Step:
    """Both sets."""
    cdef Step step = Step()
    step.c.run = run_dequantize
    step.c.rows = 1
    step.kernel = "dequantize"
    return step
