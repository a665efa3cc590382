"""Operators of outside packages: the C structure of op_api.h as an Operator."""
from cpython.pycapsule cimport PyCapsule_GetPointer, PyCapsule_IsValid
from libc.stdint cimport int32_t, int64_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset

from serverquant.blobs._blob cimport SQ_OK, sq_shape
from serverquant.runtime._plan cimport Step

from serverquant._base.errors import MachineError, NetError, ServerquantError, ShapeError
from serverquant.blobs.spec import Spec
from serverquant.runtime import registry
from serverquant.runtime.operator import Operator
from serverquant.runtime.schema import MANY, same_as_first

cdef extern from "serverquant/op_api.h":
    enum:
        SQ_OP_ABI
        ERROR_BYTES "SQ_ERROR_BYTES"
    const char* SQ_OP_CAPSULE
    ctypedef struct sq_args:
        void* owner
        int64_t (*get_int)(const sq_args* args, const char* name, int64_t missing) noexcept
        double (*get_float)(const sq_args* args, const char* name, double missing) noexcept
        const char* (*get_string)(const sq_args* args, const char* name, const char* missing) noexcept
        int64_t (*get_ints)(const sq_args* args, const char* name, int64_t* values, int64_t room) noexcept
        int64_t (*get_floats)(const sq_args* args, const char* name, double* values, int64_t room) noexcept
    ctypedef struct sq_op:
        uint32_t abi, size
        const char* type
        const char* engine
        const char* doc
        int32_t min_inputs, max_inputs, min_outputs, max_outputs
        uint64_t inplace
        size_t context_bytes
        int (*setup)(void* ctx, const sq_args* args, int32_t n_in, int32_t n_out, char* error) noexcept
        int (*shape)(const void* ctx, const sq_shape** inputs, int32_t n_in, sq_shape* out, int32_t n_out, char* error) noexcept
        int (*run)(sq_step* step) noexcept nogil
        uint32_t rows


cdef object native_step(
    int (*run)(sq_step* step) noexcept nogil, size_t context_bytes, void** context, uint32_t rows, str kernel
):
    cdef Step step = Step()
    step.c.run = run
    step.c.rows = rows
    step.kernel = kernel
    if context_bytes:
        step.new_context(context_bytes)
    if context != NULL:
        context[0] = step.c.ctx
    return step


# ---- arguments: called by the package's setup(), with the lock ------------------------------------------------------

class _Reader:
    """An operator's arguments while setup() runs: the first error, and texts that must stay alive."""

    def __init__(self, arguments):
        self.arguments, self.error, self.kept = arguments, None, []

    def get(self, kind, bytes name, missing):
        try:
            text = name.decode()
            if not self.arguments.has(text):
                return missing
            return getattr(self.arguments, kind)(text, **({"bits": 64} if kind == "int" else {}))
        except ServerquantError as error:
            self.error = self.error or error
            return missing


cdef int64_t _get_int(const sq_args* args, const char* name, int64_t missing) noexcept:
    return (<object>args.owner).get("int", name, missing)

cdef double _get_float(const sq_args* args, const char* name, double missing) noexcept:
    return (<object>args.owner).get("float", name, missing)

cdef const char* _get_string(const sq_args* args, const char* name, const char* missing) noexcept:
    cdef bytes text
    reader = <object>args.owner
    found = reader.get("bytes", name, None)
    if found is None:
        return missing
    text = found
    reader.kept.append(text)
    return text

cdef int64_t _get_ints(const sq_args* args, const char* name, int64_t* values, int64_t room) noexcept:
    cdef int64_t i = 0
    found = (<object>args.owner).get("ints", name, None)
    if found is None:
        return -1
    for value in found[:room]:
        values[i] = value
        i += 1
    return len(found)

cdef int64_t _get_floats(const sq_args* args, const char* name, double* values, int64_t room) noexcept:
    cdef int64_t i = 0
    found = (<object>args.owner).get("floats", name, None)
    if found is None:
        return -1
    for value in found[:room]:
        values[i] = value
        i += 1
    return len(found)


# ---- the operator ---------------------------------------------------------------------------------------------------

cdef class _Native:
    """The structure, and what it says, in Python's words."""
    cdef const sq_op* op

    cdef int _fill(self, void* context, operator) except -1:
        """Let setup() read the arguments."""
        cdef sq_args args
        cdef char error[ERROR_BYTES]
        cdef int status
        if self.op.setup == NULL:
            return 0
        reader = _Reader(operator.definition.arguments)
        args.owner = <void*>reader
        args.get_int, args.get_float, args.get_string = _get_int, _get_float, _get_string
        args.get_ints, args.get_floats = _get_ints, _get_floats
        error[0] = 0
        status = self.op.setup(context, &args, len(operator.inputs), len(operator.outputs), error)
        if reader.error is not None:
            raise reader.error
        if status != SQ_OK:
            raise ServerquantError(error.decode("utf-8", "replace") or "setup() failed without a message")
        return 0

    def check(self, operator):
        """ServerquantError for arguments that setup() refuses."""
        cdef void* context = calloc(1, self.op.context_bytes + 1)
        if context == NULL:
            raise MemoryError
        try:
            self._fill(context, operator)
        finally:
            free(context)

    def infer(self, operator, list ins):
        """Specs of the outputs."""
        cdef void* context
        cdef sq_shape* shapes
        cdef const sq_shape** inputs
        cdef char error[ERROR_BYTES]
        cdef int n_in = len(ins), n_out = len(operator.outputs), i, j, status
        if self.op.shape == NULL:
            return None
        context = calloc(1, self.op.context_bytes + 1)
        shapes = <sq_shape*>calloc(n_in + n_out + 1, sizeof(sq_shape))
        inputs = <const sq_shape**>calloc(n_in + 1, sizeof(sq_shape*))
        try:
            if context == NULL or shapes == NULL or inputs == NULL:
                raise MemoryError
            self._fill(context, operator)
            for i, spec in enumerate(ins):
                _shape_of(&shapes[i], spec)
                inputs[i] = &shapes[i]
            error[0] = 0
            status = self.op.shape(context, inputs, n_in, shapes + n_in, n_out, error)
            if status != SQ_OK:
                raise ShapeError(error.decode("utf-8", "replace") or "shape() failed without a message")
            return [_spec_of(&shapes[n_in + j]) for j in range(n_out)]
        finally:
            free(context)
            free(shapes)
            free(inputs)

    def step(self, operator):
        """The step for one plan, with its own context."""
        cdef void* context = NULL
        step = native_step(self.op.run, self.op.context_bytes, &context, self.op.rows, "native")
        self._fill(context, operator)
        return step


cdef void _shape_of(sq_shape* shape, spec):
    cdef int i
    memset(shape, 0, sizeof(sq_shape))
    shape.kind, shape.dtype, shape.ndim = spec.kind, spec.dtype, spec.ndim
    shape.size = spec.size
    for i in range(shape.ndim):
        shape.dims[i] = spec.dims[i]


cdef _spec_of(const sq_shape* shape):
    cdef int i
    if not 0 <= shape.ndim <= 16:
        raise ShapeError(f"shape() gave an output {shape.ndim} dimensions")
    return Spec(tuple([shape.dims[i] for i in range(shape.ndim)]), shape.dtype, shape.kind)


class NativeOperator(Operator):
    """An operator by a structure of op_api.h."""

    native = None

    def setup(self):
        self.native.check(self)

    def infer(self, ins):
        found = self.native.infer(self, ins)
        return super().infer(ins) if found is None else found

    def plan(self, ins, outs):
        return self.native.step(self)


def register_native(capsule, replace: bool = False, int8: str = "") -> str:
    """Register the operator of a PyCapsule that holds an `sq_op` (see op_api.h); returns its type.

    int8: the type that computes the same on Int8 tensors, registered in any way; `serverquant.quantize` puts it in this
    one's place (see `Schema`).
    Raises MachineError where the package was compiled against another SQ_OP_ABI, NetError for a type that is taken
    (unless `replace`) or a structure without what it needs.
    """
    cdef const sq_op* op
    cdef _Native native
    if not PyCapsule_IsValid(capsule, SQ_OP_CAPSULE):
        raise NetError(f'register_native takes a PyCapsule named "{SQ_OP_CAPSULE.decode()}"')
    op = <const sq_op*>PyCapsule_GetPointer(capsule, SQ_OP_CAPSULE)
    if op.abi != SQ_OP_ABI or op.size != sizeof(sq_op):
        raise MachineError(
            f"the operator was compiled for abi {op.abi} ({op.size} bytes) of op_api.h, this serverquant has {SQ_OP_ABI} "
            f"({sizeof(sq_op)} bytes); compile it again"
        )
    if op.type == NULL or op.run == NULL:
        raise NetError("the operator has no type, or no run()")
    native = _Native()
    native.op = op
    name, engine = op.type.decode(), op.engine.decode() if op.engine != NULL else ""
    made = type(name, (NativeOperator,), {"native": native, "__module__": "native", "keep": capsule})
    inplace = [(i, i) for i in range(64) if op.inplace >> i & 1]
    registry.register(
        name,
        engine=engine,
        replace=replace,
        inputs=(op.min_inputs, MANY if op.max_inputs < 0 else op.max_inputs),
        outputs=(op.min_outputs, MANY if op.max_outputs < 0 else op.max_outputs),
        inplace=inplace,
        args=None,
        shape=same_as_first,
        effects=False,
        int8=int8,
        doc=op.doc.decode() if op.doc != NULL else "",
    )(made)
    return name
