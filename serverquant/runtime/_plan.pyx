"""Plans: the steps of a net's segment, ready to run without the interpreter lock.

A plan holds an array of `sq_step` and, for every value (an entry of the segment or an output of a step), the shape that
it was planned for. Running it walks the array: a step's outputs get their planned shape if somebody else has changed
it (one comparison), then the step runs. Three things take the walk back to Python: an operator with a Python body,
weights that have to be packed (SQ_PREPARE), and an error.

A plan fits as long as its entries have the planned shapes (`matches`). When only their leading dimension changed,
`rebatch` carries the new one through all steps, natively, if each step allows it.
"""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport int64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcmp, memcpy, memset

from serverquant._base._threads cimport sq_fp_default, sq_fp_restore
from serverquant.blobs._blob cimport (
    SQ_EMPTY,
    SQ_INT8,
    SQ_OK,
    SQ_PREPARE,
    next_spec,
    respec,
    shape_from,
)

import numpy as np

from serverquant._base.errors import ServerquantError, placed
from serverquant.blobs.spec import Spec

cdef extern from "stdlib.h" nogil:
    int posix_memalign(void** out, size_t alignment, size_t size)

cdef extern from "plan.h" nogil:
    int64_t sq_now()
    bint sq_same_shape(const sq_shape* a, const sq_shape* b)
    bint sq_same_but_rows(const sq_shape* a, const sq_shape* b)
    int sq_set_rows(sq_shape* s, int64_t rows)


cdef class Step:
    """One planned operator: what to run, what it keeps, and what `explain` says of it.

    Attributes: `prepare(inputs, outputs)`, called with blobs when run() asks for it; `keep`, whatever must live as long
    as what was prepared; `parts`, what must live as long as the step; `kernel`, the row's name; `facts`, further words
    for `explain`.
    """

    def __cinit__(self):
        self.facts, self.parts = {}, []
        self.kernel = ""

    cdef void* new_context(self, size_t nbytes) except NULL:
        """Zeroed memory for the operator's own structure, freed with the step."""
        self.c.ctx = calloc(1, nbytes)
        if self.c.ctx == NULL:
            raise MemoryError
        return self.c.ctx

    def __dealloc__(self):
        free(self.c.ctx)


cdef class PythonStep(Step):
    """A step with a Python body: `call(inputs, outputs)` gets the blobs."""
    cdef public object call

    def __init__(self, call):
        self.call = call
        self.kernel = "python"


cdef struct Constant:
    const char* data
    size_t nbytes

cdef int run_constant(sq_step* s) noexcept nogil:
    cdef Constant* c = <Constant*>s.ctx
    cdef int i
    for i in range(s.n_out):
        memcpy(s.out[i].data, c[i].data, c[i].nbytes)
    return SQ_OK


def constant_step(list data) -> Step:
    """Writes values that were known while planning: bytes for each output."""
    cdef Step step = Step()
    cdef Constant* c = <Constant*>step.new_context(len(data) * sizeof(Constant))
    cdef int i
    for i in range(len(data)):
        c[i].data, c[i].nbytes = PyBytes_AS_STRING(data[i]), PyBytes_GET_SIZE(data[i])
    step.c.run = run_constant
    step.keep = data
    step.kernel = "constant"
    return step


cdef int run_nothing(sq_step* s) noexcept nogil:
    return SQ_OK


def no_step() -> Step:
    """For an operator that has nothing left to do when it runs."""
    cdef Step step = Step()
    step.c.run = run_nothing
    step.kernel = "none"
    return step


cdef int run_copy(sq_step* s) noexcept nogil:
    if s.out[0].data != s.in_[0].data:
        memcpy(s.out[0].data, s.in_[0].data, s.in_[0].shape.size * s.in_[0].shape.item_bytes)
    if s.in_[0].shape.kind == SQ_INT8:
        s.out[0].scale, s.out[0].zero_point = s.in_[0].scale, s.in_[0].zero_point
    return SQ_OK


def copy_step(rows=1) -> Step:
    """Copies input 0's bytes (and scale and zero point) to output 0, in whatever shape that was planned with."""
    cdef Step step = Step()
    step.c.run = run_copy
    step.c.rows = rows
    step.kernel = "copy"
    return step


# ---- scratch memory: one block for each thread of a plan -----------------------------------------------------------

cdef void* arena_scratch(sq_step* step, size_t nbytes) noexcept nogil:
    cdef Arena* arena = <Arena*>step.arena
    if nbytes > arena.capacity:
        free(arena.data)
        arena.data, arena.capacity = NULL, 0
        if posix_memalign(&arena.data, 64, nbytes + 64) != 0:
            arena.data = NULL
            return NULL
        arena.capacity = nbytes
    return arena.data


# ---- plans ---------------------------------------------------------------------------------------------------------

cdef inline bint has_shape(const Entry* e, const Value* v) noexcept nogil:
    return e.tensor.spec == v.spec or sq_same_shape(&e.tensor.shape, &v.shape)


cdef inline bint guard_holds(const Entry* e) noexcept nogil:
    """Whether the blob still has the values that the plan was made with, where it depends on them."""
    return e.guard == NULL or memcmp(e.tensor.data, e.guard, e.guard_bytes) == 0


cdef class Plan:
    """A planned segment of a net.

    Filled by `add_entry`, `add_step`, then `seal`; see runtime/planner.py. `operators` are those of the steps, `rest` the
    indices of those that have to be planned after it, `next` the plans of these.
    """
    def __init__(self):
        self._steps, self._values, self._entries = [], [], []
        self.operators, self.rest = [], ()

    def __dealloc__(self):
        free(self.steps)
        free(self.links)
        free(self.values)
        free(self.backup)
        free(self.changed)
        free(self.entries)
        free(self.arena.data)
        free(self.pools[0])
        free(self.pools[1])

    # ---- building -----------------------------------------------------------------------------------------------

    def add_value(self, spec) -> int:
        """A new value of that Spec; its number."""
        self._values.append(spec)
        return len(self._values) - 1

    def add_entry(self, Blob blob, int value) -> None:
        """`blob` is read by the segment before it is written; it had `value` when planned."""
        self._entries.append([blob, value, None])

    def guard(self, Blob blob, bytes values) -> None:
        """The plan depends on the values of this entry."""
        for entry in self._entries:
            if entry[0] is blob:
                entry[2] = values

    def add_step(self, Step step, list inputs, list in_values, list outputs, list out_values) -> None:
        """A step on these blobs, whose shapes are these values."""
        self._steps.append((step, inputs, in_values, outputs, out_values))

    def seal(self) -> None:
        """Lay everything out in C; nothing can be added afterwards."""
        cdef int n_links = sum([len(s[1]) + len(s[3]) for s in self._steps])
        cdef int i
        self.n_steps, self.n_values, self.n_entries = len(self._steps), len(self._values), len(self._entries)
        self.steps = <sq_step*>calloc(self.n_steps + 1, sizeof(sq_step))
        self.links = <Links*>calloc(self.n_steps + 1, sizeof(Links))
        self.values = <Value*>calloc(self.n_values + 1, sizeof(Value))
        self.backup = <Value*>calloc(self.n_values + 1, sizeof(Value))
        self.changed = <char*>calloc(self.n_values + 1, 1)
        self.entries = <Entry*>calloc(self.n_entries + 1, sizeof(Entry))
        self.pools[0] = malloc((n_links + 1) * sizeof(void*))
        self.pools[1] = malloc((n_links + 1) * sizeof(int))
        if not (self.steps and self.links and self.values and self.backup and self.changed and self.entries
                and self.pools[0] and self.pools[1]):
            raise MemoryError
        for i in range(self.n_values):
            self._lay_value(i)
        for i in range(self.n_entries):
            self._lay_entry(i)
        self._lay_steps()

    cdef _lay_value(self, int i):
        spec = self._values[i]
        shape_from(&self.values[i].shape, spec.kind, spec.dtype, spec.dims)
        self.values[i].spec = next_spec()

    cdef _lay_entry(self, int i):
        cdef Blob blob
        blob, value, guard = self._entries[i]
        self.entries[i].tensor, self.entries[i].value = &blob.t, value
        if guard is not None:
            self.entries[i].guard, self.entries[i].guard_bytes = PyBytes_AS_STRING(guard), PyBytes_GET_SIZE(guard)

    cdef _lay_steps(self):
        cdef sq_tensor** tensors = <sq_tensor**>self.pools[0]
        cdef int* numbers = <int*>self.pools[1]
        cdef Step step
        cdef Blob blob
        cdef sq_step* c
        cdef int i, j
        for i, (step, inputs, in_values, outputs, out_values) in enumerate(self._steps):
            c = &self.steps[i]
            c[0] = step.c
            c.n_in, c.n_out = len(inputs), len(outputs)
            c.in_, c.out = tensors, tensors + c.n_in
            self.links[i].inputs, self.links[i].outputs = numbers, numbers + c.n_in
            for j, blob in enumerate(inputs + outputs):
                tensors[j] = &blob.t
            for j, value in enumerate(in_values + out_values):
                numbers[j] = value
            tensors += c.n_in + c.n_out
            numbers += c.n_in + c.n_out
            c.scratch, c.arena, c.error = arena_scratch, &self.arena, self.error

    # ---- fitting ------------------------------------------------------------------------------------------------

    cdef bint _matches(self) noexcept nogil:
        cdef int i
        cdef Entry* e
        for i in range(self.n_entries):
            e = &self.entries[i]
            if not (has_shape(e, &self.values[e.value]) and guard_holds(e)):
                return False
        return True

    cdef Value* _change(self, int value) noexcept nogil:
        """The value, whose shape is about to change."""
        if not self.changed[value]:
            self.backup[value] = self.values[value]
            self.changed[value] = True
        return &self.values[value]

    cdef bint _rebatch(self) noexcept nogil:
        """Carry new leading dimensions from the entries through the steps; False when some step must be planned."""
        cdef int i
        cdef Entry* e
        cdef Value* v
        memset(self.changed, 0, self.n_values)
        for i in range(self.n_entries):
            e = &self.entries[i]
            v = &self.values[e.value]
            if has_shape(e, v):
                if not guard_holds(e):
                    return False
            elif e.guard != NULL or not sq_same_but_rows(&e.tensor.shape, &v.shape):
                return False
            else:
                self._change(e.value).shape = e.tensor.shape
        for i in range(self.n_steps):
            if not self._rebatch_step(i):
                return False
        for i in range(self.n_values):
            if self.changed[i]:
                self.values[i].spec = next_spec()
        return True

    cdef bint _grows_in_place(self, int i) noexcept nogil:
        """Whether an output needs more room than the input that lies in the same blob."""
        cdef sq_step* s = &self.steps[i]
        cdef const sq_shape* a
        cdef const sq_shape* b
        cdef int j, k
        for j in range(s.n_in):
            for k in range(s.n_out):
                if s.in_[j] == s.out[k]:
                    a, b = &self.values[self.links[i].inputs[j]].shape, &self.values[self.links[i].outputs[k]].shape
                    if b.size * b.item_bytes > a.size * a.item_bytes:
                        return True
        return False

    cdef bint _rebatch_step(self, int i) noexcept nogil:
        cdef sq_step* s = &self.steps[i]
        cdef const int* inputs = self.links[i].inputs
        cdef const int* outputs = self.links[i].outputs
        cdef const sq_shape* before[32]
        cdef sq_shape* after[32]
        cdef bint touched = False
        cdef int64_t rows = -1
        cdef const sq_shape* x
        cdef int j
        for j in range(s.n_in):
            touched = touched or self.changed[inputs[j]]
        if not touched:
            return True
        if s.reshape != NULL:
            if s.n_in > 32 or s.n_out > 32:
                return False
            for j in range(s.n_in):
                before[j] = &self.values[inputs[j]].shape
            for j in range(s.n_out):
                after[j] = &self._change(outputs[j]).shape
            if s.reshape(s, before, after) != SQ_OK:
                return False
            # Sums of bags have as many rows whatever the bags hold: what follows them stays as it is.
            for j in range(s.n_out):
                self.changed[outputs[j]] = not sq_same_shape(after[j], &self.backup[outputs[j]].shape)
            return not self._grows_in_place(i)
        for j in range(s.n_in):
            x = &self.values[inputs[j]].shape
            if j < 32 and (s.rows >> j) & 1:
                if not self.changed[inputs[j]] or (rows >= 0 and rows != x.dims[0]):
                    return False
                rows = x.dims[0]
            elif self.changed[inputs[j]]:
                return False
        for j in range(s.n_out):
            if not sq_set_rows(&self._change(outputs[j]).shape, rows):
                return False
        return not self._grows_in_place(i)

    def matches(self) -> bool:
        """Whether the entries' blobs have the shapes (and, where it matters, the values) that were planned for."""
        return self._matches()

    def rebatch(self) -> bool:
        """Adapt to new leading dimensions of the entries; False, and the plan is as before, when it cannot."""
        cdef int i
        if self._rebatch():
            return True
        for i in range(self.n_values):
            if self.changed[i]:
                self.values[i] = self.backup[i]
        return False

    # ---- running ------------------------------------------------------------------------------------------------

    cdef int _turn(self, int i) noexcept nogil:
        return turn(self, i)

    cdef int _walk(self, int i) noexcept nogil:
        """Run native steps from `i` on; SQ_OK at the end or at a Python step, with `at_step` where it stopped."""
        cdef int status
        while i < self.n_steps:
            status = turn(self, i)
            if status != SQ_OK or self.steps[i].run == NULL:
                self.at_step = i
                return status
            i += 1
        self.at_step = i
        return SQ_OK

    def run(self) -> None:
        """Run all steps. Errors carry the operator's place."""
        cdef int i = 0
        cdef int status
        cdef unsigned fp
        while True:
            with nogil:
                fp = sq_fp_default()
                status = self._walk(i)
                sq_fp_restore(fp)
            i = self.at_step
            if status == SQ_OK and i == self.n_steps:
                return
            i = self._python_turn(i, status)

    cdef int _python_turn(self, int i, int status) except -1:
        """What step `i` needs Python for; the step to go on with."""
        step, inputs, _, outputs, _ = self._steps[i]
        try:
            if status == SQ_PREPARE:
                step.prepare(inputs, outputs)
                # Asking twice in a row would be asking for ever.
                status = self.steps[i].run(&self.steps[i])
                if status == SQ_PREPARE:
                    raise ServerquantError("the kernel refused what was prepared for it")
            elif status == SQ_OK:
                step.call(inputs, outputs)
            if status != SQ_OK:
                raise ServerquantError(self.steps[i].error.decode("utf-8", "replace"))
        except (ServerquantError, MemoryError) as error:
            found = [(name, blob.spec()) for name, blob in zip(self.operators[i].inputs, inputs)]
            raise placed(error, self.operators[i].place, found, self.operators[i].outputs) from error.__cause__
        return i + 1

    def run_stamped(self) -> np.ndarray:
        """Run all steps as `run` does and say when: int64 [steps, 3], nanoseconds of the monotonic clock at a step's begin
        and end, and the thread (0 is the caller's)."""
        cdef int64_t[:, ::1] stamps = np.zeros((self.n_steps + 1, 3), np.int64)
        self._run_stamped(&stamps[0, 0])
        return np.asarray(stamps)[:self.n_steps]

    cdef _run_stamped(self, int64_t* stamps):
        cdef int i = 0, status = SQ_OK
        cdef unsigned fp
        while i < self.n_steps:
            with nogil:
                fp = sq_fp_default()
                while i < self.n_steps and status == SQ_OK:
                    stamps[3 * i] = sq_now()
                    status = turn(self, i)
                    if status != SQ_OK or self.steps[i].run == NULL:
                        break
                    stamps[3 * i + 1] = sq_now()
                    i += 1
                sq_fp_restore(fp)
            if i < self.n_steps:
                self._python_turn(i, status)
                stamps[3 * i + 1] = sq_now()
                status = SQ_OK
                i += 1

    def run_watched(self, list watchers) -> np.ndarray:
        """Run the steps one after the other, each followed by `wrote(operator, output blobs)` of the watchers; stamps as
        `run_stamped` gives them."""
        cdef int64_t[:, ::1] stamps = np.zeros((self.n_steps + 1, 3), np.int64)
        cdef int i, status
        cdef unsigned fp
        for i in range(self.n_steps):
            stamps[i, 0] = sq_now()
            with nogil:
                fp = sq_fp_default()
                status = turn(self, i)
                sq_fp_restore(fp)
            if status != SQ_OK or self.steps[i].run == NULL:
                self._python_turn(i, status)
            stamps[i, 1] = sq_now()
            for watcher in watchers:
                watcher.wrote(self.operators[i], self._steps[i][3])
        return np.asarray(stamps)[:self.n_steps]

    def run_timed(self) -> list:
        """Run all steps; nanoseconds of each."""
        return [int(end - begin) for begin, end, _ in self.run_stamped()]

    # ---- looking ------------------------------------------------------------------------------------------------

    @property
    def steps_python(self) -> list:
        """(Step, input blobs, output blobs) in order."""
        return [(s[0], s[1], s[3]) for s in self._steps]

    def output_specs(self) -> list:
        """For each step the Specs of its outputs, as planned for the last run."""
        cdef int i, j, k
        cdef const sq_shape* shape
        found = []
        for i in range(self.n_steps):
            specs = []
            for j in range(self.steps[i].n_out):
                shape = &self.values[self.links[i].outputs[j]].shape
                specs.append(Spec(tuple([shape.dims[k] for k in range(shape.ndim)]), shape.dtype, shape.kind))
            found.append(specs)
        return found

    @property
    def scratch_bytes(self) -> int:
        return self.arena.capacity


cdef inline int turn(Plan plan, int i) noexcept nogil:
    """Give the outputs of step `i` their shapes and run it, if it is a native one."""
    cdef sq_step* s = &plan.steps[i]
    cdef Value* v
    cdef sq_tensor* t
    cdef int j
    for j in range(s.n_out):
        t = s.out[j]
        v = &plan.values[plan.links[i].outputs[j]]
        if t.spec != v.spec and v.shape.kind != SQ_EMPTY:
            if respec(t, &v.shape, v.spec) != 0:
                return fail(s, "no memory for output %d", j)
        t.version += 1
    return SQ_OK if s.run == NULL else s.run(s)
