"""Plans whose steps run on several threads, each as soon as those that it waits for are done.

Steps that follow each other without a branch are one node of the graph. Whether the threads pay is found out, not
guessed: the first runs alternate between all threads and the caller's alone, and the faster way stays. Results are the
same bytes either way.
"""
from operator import itemgetter

from libc.stdint cimport INT64_MAX, int64_t
from libc.stdlib cimport calloc, free

from serverquant._base._threads cimport share_cores, sq_fp_default, sq_fp_restore
from serverquant.blobs._blob cimport SQ_ERROR, SQ_ERROR_BYTES, SQ_OK, sq_step
from serverquant.runtime._plan cimport Arena, Plan

cdef extern from "dag.h" nogil:
    ctypedef struct sq_graph:
        int nodes
        const int* waits
        const int* first
        const int* next
        int* left
        int* ready
    ctypedef int (*sq_node_fn)(void* owner, int node, int worker, int crowd) noexcept nogil
    void sq_graph_run(const sq_graph* graph, int workers, sq_node_fn run, void* owner)
    int sq_pool_threads()

cdef extern from "plan.h" nogil:
    int64_t sq_now()


cdef enum:
    WARM_UP = 1             # runs that prepare weights and find memory
    TRIED = WARM_UP + 6     # and then runs in both ways, in turns
    AGAIN = 4096            # runs until both are tried again: a machine's load changes
    SLOW_PYTHON_NS = 50000  # Python bodies that take this long may be waiting for each other: never one by one

cdef bint _force = False

cdef struct Worker:
    Arena arena
    char error[SQ_ERROR_BYTES]


cdef class DagPlan(Plan):
    """A plan for `workers` threads. After `seal`, `link` says which steps wait for which."""
    cdef sq_graph graph
    cdef int* numbers           # the graph's arrays
    cdef int* chains            # steps of node i: chain_steps[chains[i]] .. chain_steps[chains[i + 1] - 1]
    cdef int* chain_steps
    cdef Worker* staff
    cdef int workers
    cdef bint python_at_once    # Python bodies may run at the same time
    cdef list errors
    cdef int64_t* stamps        # of the run that is going on, where they are wanted
    cdef int runs               # since trying began
    cdef int64_t best[2]        # nanoseconds on the caller's thread, and on all
    cdef int64_t size           # elements of all values when these were measured

    def __init__(self, int workers):
        super().__init__()
        self.workers = workers

    def __dealloc__(self):
        cdef int i
        for i in range(self.workers if self.staff != NULL else 0):
            free(self.staff[i].arena.data)
        free(self.staff)
        free(self.numbers)

    def link(self, list waits, bint python_at_once) -> None:
        """waits[i]: the steps that step i waits for directly."""
        chains = chains_of(waits)
        node_of = {step: node for node, chain in enumerate(chains) for step in chain}
        before = [sorted({node_of[w] for w in waits[chain[0]]}) for chain in chains]
        behind = [[] for _ in chains]
        for node, nodes in enumerate(before):
            for other in nodes:
                behind[other].append(node)
        self.python_at_once = python_at_once
        self.workers = min(self.workers, len(chains))
        if self.workers > 1:
            self._lay_graph(chains, [len(nodes) for nodes in before], behind)

    cdef _lay_graph(self, list chains, list waits, list behind):
        cdef int n = <int>len(chains)
        parts = [waits, starts(behind), sum(behind, []), starts(chains), sum(chains, []), [0] * n, [0] * n]
        flat = sum(parts, [])
        cdef int i
        self.numbers = <int*>calloc(len(flat), sizeof(int))
        self.staff = <Worker*>calloc(self.workers, sizeof(Worker))
        if self.numbers == NULL or self.staff == NULL:
            raise MemoryError
        for i in range(<int>len(flat)):
            self.numbers[i] = flat[i]
        at = starts(parts)
        self.graph.nodes, self.graph.waits = n, self.numbers + <int>at[0]
        self.graph.first, self.graph.next = self.numbers + <int>at[1], self.numbers + <int>at[2]
        self.chains, self.chain_steps = self.numbers + <int>at[3], self.numbers + <int>at[4]
        self.graph.left, self.graph.ready = self.numbers + <int>at[5], self.numbers + <int>at[6]

    # ---- running --------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Run all steps. Errors carry the operator's place; of several that fail at once the first one's is raised."""
        if self.workers < 2:
            Plan.run(self)
        else:
            self._measured(NULL)

    cdef _run_stamped(self, int64_t* stamps):
        if self.workers < 2:
            Plan._run_stamped(self, stamps)
        else:
            self._measured(stamps)

    cdef _measured(self, int64_t* stamps):
        """Run in one of the two ways, and note how long it took while they are tried."""
        cdef bint spread = self._spreads()
        cdef int64_t began
        if self.runs >= TRIED:
            self._run(spread, stamps)
        else:
            began = sq_now()
            self._run(spread, stamps)
            self._note(spread, sq_now() - began)
        self.runs = self.runs + 1 if self.runs < AGAIN else WARM_UP

    cdef bint _spreads(self) noexcept:
        """Whether this run takes all threads."""
        if _force or self.runs <= WARM_UP or (self.python_at_once and self.best[1] > SLOW_PYTHON_NS):
            return True
        if self.runs < TRIED:
            return (self.runs - WARM_UP) % 2 == 0
        return self.best[1] < self.best[0] - self.best[0] // 16

    cdef _note(self, bint spread, int64_t taken):
        if self.runs == WARM_UP:
            self.best[0] = self.best[1] = INT64_MAX
            self.size = self._elements()
        if self.runs >= WARM_UP and taken < self.best[spread]:
            self.best[spread] = taken

    cdef int64_t _elements(self) noexcept:
        cdef int64_t size = 0
        cdef int i
        for i in range(self.n_values):
            size += self.values[i].shape.size
        return size

    def rebatch(self) -> bool:
        """As of every plan; another order of magnitude has the ways of running tried again."""
        cdef int64_t size
        if not Plan.rebatch(self):
            return False
        size = self._elements()
        if self.runs > WARM_UP and not self.size // 4 <= size <= self.size * 4:
            self.runs = WARM_UP
        return True

    cdef _run(self, bint spread, int64_t* stamps):
        if not spread:
            if stamps == NULL:
                Plan.run(self)
            else:
                Plan._run_stamped(self, stamps)
            return
        self.errors = []
        self.stamps = stamps
        with nogil:
            sq_graph_run(&self.graph, self.workers, run_node if stamps == NULL else run_node_stamped, <void*>self)
            share_cores(0)
        if self.errors:
            raise min(self.errors, key=itemgetter(0))[1]

    cdef int _in_python(self, int i, int status) noexcept nogil:
        """What step `i` needs Python for; an exception waits in `errors` until all threads are back."""
        with gil:
            try:
                self._python_turn(i, status)
            except BaseException as error:
                self.errors.append((i, error))
                return SQ_ERROR
        return SQ_OK


cdef inline int run_chain(DagPlan plan, int node, int worker, int crowd, bint stamped) noexcept nogil:
    cdef unsigned fp = sq_fp_default()
    cdef int64_t* stamp
    cdef sq_step* s
    cdef int k, i, status = SQ_OK
    share_cores(crowd)
    for k in range(plan.chains[node], plan.chains[node + 1]):
        i = plan.chain_steps[k]
        s = &plan.steps[i]
        s.arena, s.error = &plan.staff[worker].arena, plan.staff[worker].error
        if stamped:
            stamp = plan.stamps + 3 * i
            stamp[0], stamp[2] = sq_now(), worker
        status = plan._turn(i)
        if status != SQ_OK or s.run == NULL:
            status = plan._in_python(i, status)
        if stamped:
            stamp[1] = sq_now()
        if status != SQ_OK:
            break
    sq_fp_restore(fp)
    return status


cdef int run_node(void* plan, int node, int worker, int crowd) noexcept nogil:
    return run_chain(<DagPlan>plan, node, worker, crowd, False)


cdef int run_node_stamped(void* plan, int node, int worker, int crowd) noexcept nogil:
    return run_chain(<DagPlan>plan, node, worker, crowd, True)


cdef list starts(list parts):
    """Where each part begins when they are laid end to end, and the end."""
    cdef list at = [0]
    cdef Py_ssize_t end = 0
    for part in parts:
        end += len(part)
        at.append(end)
    return at


def chains_of(waits: list) -> list:
    """Steps grouped into chains: a step joins the one that it waits for if that is the only one, and if no other step
    waits for that."""
    followers = [0] * len(waits)
    for before in waits:
        for step in before:
            followers[step] += 1
    chains, chain_of = [], {}
    for step, before in enumerate(waits):
        if len(before) == 1 and followers[before[0]] == 1:
            chain_of[step] = chain_of[before[0]]
            chain_of[step].append(step)
        else:
            chain_of[step] = [step]
            chains.append(chain_of[step])
    return chains


def force_threads(on: bool) -> None:
    """For tests: every run takes all threads."""
    global _force
    _force = on


def pool_threads() -> int:
    """Helper threads that the process has."""
    return sq_pool_threads()
