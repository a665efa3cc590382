"""A net ready to serve: `serverquant.load(init_net, predict_net)`."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import serverquant.ops  # noqa: F401 - makes the built-in operators known
from serverquant._base.errors import ArgumentError, NetError, ParseError, ServerquantError
from serverquant.blobs import dtypes
from serverquant.blobs._blob import Blob
from serverquant.blobs.spec import INT8, OBJECT, TENSOR, Spec
from serverquant.blobs.store import Int8, closest
from serverquant.proto.wire import NetFile, read_net
from serverquant.runtime.infer import Inferred, known_blobs, walk
from serverquant.runtime.nets import net_class
from serverquant.runtime.nets.dag import DagNet
from serverquant.runtime.nets.passes import Folded
from serverquant.runtime.nets.planned import PlannedDagNet, PlannedNet
from serverquant.runtime.nets.simple import SimpleNet
from serverquant.runtime.observe import Observer
from serverquant.runtime.planner import SMALL
from serverquant.runtime.workspace import Workspace


class Predictor:
    """Weights, and a net to run on them; safe to call from several threads.

    The weights exist once. Every thread that calls gets a context of its own (inner blobs and plans), made at its first
    call. Defects of Caffe2 that are reproduced elsewhere (docs/numerics.md) are mended here.

        with serverquant.load("init_net.pb", "predict_net.pb") as predict:
            outputs = predict(images)               # arrays in the order of `predict.inputs`
            outputs = predict(data=images)          # or by name, or one dict
            outputs["prob"]

    inputs, outputs: names of the blobs that a call takes and gives. What a net names as an input but never reads, such
    as the queue that its training read from, may be given, and need not.

    init: any source of a NetDef; or the weights themselves, a mapping of name to array; or None.
    keep_blobs: inner blobs stay after a call, for `fetch`. Without it they share memory, and what no output needs is
    not computed (docs/nets.md).
    keep_weights: with False, weights that are packed for their operators exist in that form alone (`fetch` unpacks),
    and those that the net does not read are gone.
    watched: names of inner blobs that an attached `observe.Watcher` is to see when they are written; without them it
    sees what is left after fusions.
    """

    def __init__(
        self,
        init: Any,
        predict: Any,
        *,
        keep_blobs: bool = False,
        keep_weights: bool = True,
        watched: Collection[str] = (),
    ):
        self._keep_blobs, self._watched = keep_blobs, watched
        self._folded = Folded()
        self._creating = threading.Lock()
        self._nets: weakref.WeakSet[SimpleNet] = weakref.WeakSet()
        self._observers: list[Observer] = []
        self._weights = Workspace()
        self._packers: list[tuple[Any, list[Blob]]] = []
        if isinstance(init, Mapping):
            for name, value in init.items():
                self._weights.create(name).feed(value)
        elif init is not None:
            self._make_weights(read_net(init))
        self._file: NetFile = read_net(predict)
        proto = self._file.net
        made = {name for op in proto.op for name in op.output}
        used = list(dict.fromkeys([*proto.external_input, *(n for op in proto.op for n in op.input)]))
        self.name: str = proto.name
        self.outputs: list[str] = list(proto.external_output) or list(proto.op[-1].output if proto.op else ())
        given = [n for n in used if n not in self._weights and (n in proto.external_input or n not in made)]
        self._unread = set(given) - _read(proto) - set(self.outputs)
        self.inputs: list[str] = [n for n in given if n not in self._unread]
        if not proto.op:
            raise NetError(f'net "{proto.name}" has no operators')
        self._local = threading.local()
        self._closed = False
        net = self._context()[1]
        if not keep_weights:
            slim_down(self._weights, net, self.outputs)

    def _make_weights(self, file: NetFile) -> None:
        self._weights.bind(file, fix_defects=True).run()
        for op in file.net.op:
            if any(self._weights.get(name).kind == OBJECT for name in op.output):
                self._packers.append((op, [self._weights.get(name) for name in op.input]))

    # ---- running --------------------------------------------------------------------------------------------------

    def __call__(self, *arrays: Any, **named: Any) -> dict[str, Any]:
        """Run on arrays in the order of `inputs`, on one dict, or by name. Returns the outputs' values by name.

        Arrays are copied. Int8 tensors go in and come out as `serverquant.Int8`.
        """
        feeds = self._feeds(arrays, named)
        space, net = self._context()
        for name, value in feeds.items():
            space.local(name).feed(value)
        net.run()
        return {name: space.fetch(name) for name in self.outputs}

    run = __call__

    def fetch(self, name: str) -> Any:
        """The value of an inner blob (or a weight) as the calling thread's last run left it."""
        return self._context()[0].fetch(name)

    def view(self, name: str) -> Any:
        """The same over the blob's own memory: good until the next run, that of a weight as long as it is held."""
        blob = self._context()[0].get(name)
        value = blob.view()
        return Int8(value, blob.scale, blob.zero_point) if blob.kind == INT8 else value

    def _feeds(self, arrays: tuple[Any, ...], named: dict[str, Any]) -> dict[str, Any]:
        if len(arrays) == 1 and isinstance(arrays[0], dict):
            named, arrays = {**arrays[0], **named}, ()
        if len(arrays) > len(self.inputs):
            raise ArgumentError(f'net "{self.name}" takes {len(self.inputs)} inputs ({self.inputs}), not {len(arrays)}')
        feeds = {**dict(zip(self.inputs, arrays)), **named}
        feeds = {name: value for name, value in feeds.items() if name not in self._unread}
        for name in feeds:
            if name not in self.inputs:
                raise ArgumentError(f'net "{self.name}" has no input "{name}"{closest(name, self.inputs)}')
        missing = [name for name in self.inputs if name not in feeds]
        if missing:
            names = ", ".join(missing)
            raise ArgumentError(f'net "{self.name}" needs input {names} too: the init net does not make it')
        return feeds

    def _context(self) -> tuple[Workspace, SimpleNet]:
        """The calling thread's blobs and net."""
        if self._closed:
            raise NetError(f'the predictor of net "{self.name}" is closed')
        found = getattr(self._local, "context", None)
        if found is None:
            space = Workspace(parent=self._weights)
            for name in self.inputs:
                space.local(name)
            with self._creating:
                found = self._local.context = (space, self._bind(space))
                for observer in self._observers:
                    found[1].attach(observer)
                self._nets.add(found[1])
        return found

    def _bind(self, space: Workspace) -> SimpleNet:
        kind = net_class(self._file)
        threaded = issubclass(kind, DagNet)
        if self._keep_blobs:
            return (kind if threaded else SimpleNet)(self._file, space, True)
        planned = PlannedDagNet if threaded else PlannedNet
        names = self._weights.names()
        return planned(self._file, space, True, self.outputs, names, self._folded, self._watched)

    @property
    def net(self) -> SimpleNet:
        """The calling thread's net, for a look at its plans."""
        return self._context()[1]

    @property
    def proto(self) -> Any:
        """The predict net's NetDef, big payloads aside."""
        return self._file.net

    def attach(self, observer: Observer) -> None:
        """Have the observer told of every call's run, in all threads; see runtime/observe.py."""
        with self._creating:
            self._observers.append(observer)
            for net in self._nets:
                net.attach(observer)

    def detach(self, observer: Observer) -> None:
        """Undo `attach`; ValueError when it is not attached."""
        with self._creating:
            self._observers.remove(observer)
            for net in self._nets:
                net.detach(observer)

    # ---- weights --------------------------------------------------------------------------------------------------

    @property
    def parameters(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the tensors that the init net made, by name."""
        blobs = ((name, self._weights.get(name)) for name in self._weights.names())
        return {name: blob.dims for name, blob in blobs if blob.nbytes}

    @property
    def nbytes(self) -> int:
        """Bytes of the weights, without packed forms."""
        return sum(self._weights.get(name).nbytes for name in self._weights.names())

    def infer(self, inputs: Mapping[str, Any], faults: list[ServerquantError] | None = None) -> list[Inferred]:
        """Shapes and types of what each operator reads and writes, without running. inputs: arrays, or dims of float
        tensors. faults: see runtime/infer.py."""
        known = known_blobs(self._weights)
        for name, value in inputs.items():
            if name not in self.inputs:
                raise ArgumentError(f'net "{self.name}" has no input "{name}"{closest(name, self.inputs)}')
            known[name] = _spec_of(value)
        return list(walk([self._file], known, self._weights, faults))

    def packers(self) -> list[tuple[Any, list[Blob]]]:
        """The init net's operators that packed weights, as (OperatorDef, input blobs)."""
        return list(self._packers)

    # ---- end ------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Free the weights; calls raise from then on."""
        self._closed = True
        self._local = threading.local()
        self._packers.clear()
        self._folded = Folded()
        self._weights.reset()

    def __enter__(self) -> Predictor:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __repr__(self) -> str:
        if self._closed:
            return f'<Predictor "{self.name}", closed>'
        return (
            f'<Predictor "{self.name}": {len(self.proto.op)} operators, {", ".join(self.inputs)} -> '
            f"{', '.join(self.outputs)}; {len(self.parameters)} parameters, {self.nbytes / 1e6:.1f} MB>"
        )


def _spec_of(value: Any) -> Spec:
    """Of an array, an Int8, or dims."""
    if hasattr(value, "zero_point"):
        return Spec(value.data.shape, dtypes.from_numpy(value.data.dtype), INT8)
    if hasattr(value, "dtype"):
        small = value.dtype.kind in "iu" and value.size <= SMALL
        return Spec(value.shape, dtypes.from_numpy(value.dtype), TENSOR, value if small else None)
    return Spec(tuple(value))


def slim_down(weights: Workspace, net: SimpleNet, results: list[str]) -> None:
    """Let go of weights that the net does not read, and of those that it reads in packed form, once that is made."""
    uses: dict[Blob, list[bool]] = {}
    for operator, i, blob in net.reads():
        uses.setdefault(blob, []).append(i in operator.packs)
    for name in weights.names():
        blob = weights.get(name)
        if blob in uses:
            blob.slim = all(uses[blob]) and blob.kind in (TENSOR, INT8)
        elif name not in results:
            blob.clear()
            blob.why_empty = "the net does not read it, and the Predictor was made with keep_weights=False"


def load(init: Any, predict: Any = None, *, keep_blobs: bool = False, keep_weights: bool = True) -> Predictor:
    """A Predictor from an init net and a predict net: paths (.pb, .pbtxt), bytes, messages of any protobuf runtime.

    One MetaNetDef alone will do if it holds both nets. Raises ParseError for what is no net, and whatever running the
    init net or creating the predict net raises. keep_blobs, keep_weights: see Predictor.
    """
    if predict is None:
        init, predict = _from_meta_net(init)
    return Predictor(init, predict, keep_blobs=keep_blobs, keep_weights=keep_weights)


def _from_meta_net(source: Any) -> tuple[Any, Any]:
    from serverquant.proto import PredictorConsts
    from serverquant.proto.io import load_meta_net

    meta, names = load_meta_net(source), PredictorConsts()
    nets = {entry.key: entry.value for entry in meta.nets}
    if names.PREDICT_NET_TYPE not in nets:
        shown = str(source) if isinstance(source, (str, Path)) else "the message"
        raise ParseError(
            f"{shown} is a MetaNetDef without a {names.PREDICT_NET_TYPE}; give the predict net as second argument"
        )
    return nets.get(names.PREDICT_INIT_NET_TYPE), nets[names.PREDICT_NET_TYPE]


def _read(proto: Any) -> set[str]:
    """Names that operators read; all external inputs where nets run inside operators, which may read any."""
    inner = any(arg.HasField("n") or arg.nets for op in proto.op for arg in op.arg)
    return {*(proto.external_input if inner else ()), *(name for op in proto.op for name in op.input)}
