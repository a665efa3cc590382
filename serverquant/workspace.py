"""Caffe2's workspace API: blobs and nets by name, one current workspace in the process.

Names and meanings are those of `caffe2.python.workspace`. Blobs that are fetched and fed are copied. Names may be str,
bytes or BlobReference. Nets may be NetDef messages (of any protobuf runtime), serialized bytes, paths, or objects with
`Proto()`.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
import warnings
from collections.abc import Iterable, Iterator, MutableMapping
from typing import Any

import numpy as np

import serverquant.ops  # noqa: F401 - makes the built-in operators known
from serverquant._base import _threads
from serverquant._base.errors import ArgumentError, DTypeError, MissingBlobError, NetError, ServerquantError
from serverquant.blobs.dtypes import DOUBLE, FLOAT, STRING
from serverquant.blobs.spec import INT8, TENSOR, Spec
from serverquant.blobs.store import Int8, blob_name, closest
from serverquant.proto import NetDef, OperatorDef, PlanDef
from serverquant.proto.io import load
from serverquant.proto.wire import read_net
from serverquant.runtime import registry
from serverquant.runtime.infer import infer, is_told, known_blobs
from serverquant.runtime.options import FLAGS, flag_value, options
from serverquant.runtime.steps import run_plan
from serverquant.runtime.workspace import Workspace

Int8Tensor = Int8

_workspaces: dict[str, Workspace] = {"default": Workspace()}
_current = "default"


def current() -> Workspace:
    """The current workspace object."""
    return _workspaces[_current]


# ---- workspaces --------------------------------------------------------------------------------------------------


def GlobalInit(args: Iterable[str] = ()) -> bool:
    """Accept Caffe2's command line, of `--name=value` or `--name value`. `--caffe2_omp_num_threads` sets the number of
    threads, `--caffe2_operator_throw_if_fp_exceptions=1` options.fp_exceptions, `--caffe2_dnnlowp_...` the option of
    that name; other flags of Caffe2 have no meaning here and are passed over, as it does with flags of its other
    builds. May be called again.

    Raises ArgumentError for a value that a flag of DNNLOWP cannot have; flags before it are set then.
    """
    for name, value in _flags(list(args)[1:]):
        if name in FLAGS:
            setattr(options, name, flag_value(name, value))
        elif name == "caffe2_omp_num_threads" and value.isdigit() and int(value) > 0:
            _threads.set_num_threads(int(value))
        elif name == "caffe2_operator_throw_if_fp_exceptions":
            options.fp_exceptions = value.lower() in ("", "1", "true")
    return True


def _flags(args: list[str]) -> Iterator[tuple[str, str]]:
    """(name, value) of each flag; the value may be the next argument."""
    for i, flag in enumerate(map(str, args)):
        if flag.startswith("-"):
            name, equals, value = flag.lstrip("-").partition("=")
            behind = str(args[i + 1]) if i + 1 < len(args) else ""
            yield name, value if equals or behind.startswith("--") else behind


def CurrentWorkspace() -> str:
    """Name of the current workspace."""
    return _current


def Workspaces() -> list[str]:
    """Names of all workspaces."""
    return sorted(_workspaces)


def SwitchWorkspace(name: Any, create_if_missing: bool = False) -> None:
    """Make another workspace the current one."""
    global _current
    text = blob_name(name)
    if text not in _workspaces:
        if not create_if_missing:
            raise NetError(f'there is no workspace "{text}"{closest(text, list(_workspaces))}')
        _workspaces[text] = Workspace()
    _current = text


@contextlib.contextmanager
def inside(space: Workspace) -> Iterator[None]:
    """A workspace object is the current one inside, whether it has a name or not."""
    global _current
    before, name = _current, f"workspace object {id(space)}"
    _workspaces[name], _current = space, name
    try:
        yield
    finally:
        del _workspaces[name]
        _current = before


def ResetWorkspace(root_folder: str | None = None) -> bool:
    """Forget all blobs and nets of the current workspace."""
    current().reset()
    if root_folder is not None:
        os.makedirs(root_folder, exist_ok=True)
        current().root_folder = root_folder
    return True


def RootFolder() -> str:
    """Folder that the current workspace's files live in."""
    return current().root_folder


# ---- blobs -------------------------------------------------------------------------------------------------------


def Blobs() -> list[str]:
    """Names of all blobs, sorted."""
    return current().names()


def HasBlob(name: Any) -> bool:
    return blob_name(name) in current()


def CreateBlob(name: Any) -> bool:
    """Make an empty blob; one that exists stays as it is."""
    current().create(blob_name(name))
    return True


def RemoveBlob(name: Any) -> bool:
    """Forget a blob; False when there is none. A net that reads it raises until it is fed again."""
    return current().remove(blob_name(name))


def FeedBlob(name: Any, value: Any, device_option: Any = None) -> bool:
    """Copy `value` into a blob, made if need be: an array (its dtype decides the data type), anything that numpy makes
    an array of, strings (object, bytes or str arrays), a TensorProto, or an `Int8Tensor`.

    Raises DTypeError for what no tensor holds; the blob is then as it was.
    """
    _check_device(device_option)
    if hasattr(value, "SerializeToString"):
        from serverquant.proto.tensors import to_numpy

        value = to_numpy(value)
    current().create(blob_name(name)).feed(value)
    return True


def FeedInt8Blob(name: Any, data: Any, scale: float | None = None, zero_point: int = 0) -> bool:
    """Copy quantized data (uint8, int32 or uint16) with its scale and zero point: value = scale * (q - zero_point).
    `data` may be an `Int8Tensor` by itself."""
    if hasattr(data, "zero_point"):
        data, scale, zero_point = data.data, data.scale, data.zero_point
    if scale is None:
        raise ArgumentError(f'FeedInt8Blob "{blob_name(name)}" needs a scale')
    current().create(blob_name(name)).feed_int8(data, scale, zero_point)
    return True


def FetchBlob(name: Any) -> Any:
    """A copy of a tensor (strings: an object array of bytes), or the object that the blob holds.

    Raises MissingBlobError when there is none or it is empty, DTypeError for an Int8 tensor (use FetchInt8Blob).
    """
    blob = current().get(blob_name(name))
    if blob.kind == INT8:
        raise DTypeError(f'blob "{blob.name}" is an Int8 tensor; use FetchInt8Blob to fetch it')
    return blob.fetch()


def FetchBlobs(names: Iterable[Any]) -> list[Any]:
    """FetchBlob of each name."""
    return [FetchBlob(name) for name in names]


def FetchInt8Blob(name: Any) -> Int8:
    """A copy of an Int8 tensor: (data, scale, zero_point)."""
    blob = current().get(blob_name(name))
    if blob.kind != INT8:
        raise DTypeError(f'blob "{blob.name}" holds {blob.spec()!r}, not an Int8 tensor; use FetchBlob')
    return Int8(blob.fetch(), np.float32(blob.scale), blob.zero_point)


class _BlobDict(MutableMapping[str, Any]):
    """`workspace.blobs`: the current workspace's blobs as a mapping; values are copies."""

    def __getitem__(self, name: Any) -> Any:
        return current().fetch(blob_name(name))

    def __setitem__(self, name: Any, value: Any) -> None:
        FeedBlob(name, value)

    def __delitem__(self, name: Any) -> None:
        if not RemoveBlob(name):
            raise MissingBlobError(f'there is no blob "{blob_name(name)}"')

    def __iter__(self) -> Iterator[str]:
        return iter(Blobs())

    def __len__(self) -> int:
        return len(Blobs())

    def __contains__(self, name: object) -> bool:
        return HasBlob(name)

    def __repr__(self) -> str:
        some = ", ".join(Blobs()[:8]) + (", ..." if len(self) > 8 else "")
        return f"<{len(self)} blobs of workspace {_current!r}: {some}>"


blobs = _BlobDict()


def GetBlobSizeBytes(name: Any) -> int:
    """Bytes that a blob's values take; of strings their characters and 32 for each, of objects nothing."""
    blob = current().get(blob_name(name))
    if blob.spec().kind == TENSOR and blob.spec().dtype == STRING:
        return sum(32 + len(text) for text in blob.view().flat)
    return blob.nbytes


# ---- nets --------------------------------------------------------------------------------------------------------


def CreateNet(net: Any, overwrite: bool = False, input_blobs: Iterable[Any] = ()) -> bool:
    """Check a net and keep it by its name; blobs named in `input_blobs` are created first, empty, if they are missing.

    Raises NetError for a name taken (unless `overwrite`) or an input that nothing makes, MissingBlobError for an
    input blob that does not exist, UnknownOperatorError, ArgumentError; nothing has changed then.
    """
    for name in input_blobs:
        CreateBlob(name)
    current().create_net(net, overwrite)
    return True


def Nets() -> list[str]:
    """Names of the nets, in order of creation."""
    return list(current().nets)


def DeleteNet(name: Any) -> bool:
    """Forget a net; False when there is none."""
    return current().delete_net(_net_name(name))


def RunNet(name: Any, num_iter: int = 1, allow_fail: bool = False) -> bool:
    """Run a net that was created, `num_iter` times. With `allow_fail` an error gives False instead of raising."""
    net = current().net(_net_name(name))
    try:
        for _ in range(num_iter):
            net.run()
    except ServerquantError:
        if not allow_fail:
            raise
        return False
    return True


def RunNetOnce(net: Any) -> bool:
    """Create, run and forget a net."""
    current().run_once(net)
    return True


def RunOperatorOnce(operator: Any) -> bool:
    """Run one OperatorDef."""
    return RunOperatorsOnce([operator])


def RunOperatorsOnce(operators: Iterable[Any]) -> bool:
    """Run OperatorDefs one after the other."""
    for operator in operators:
        _run_alone(current(), operator)
    return True


def RunOperatorMultiple(operator: Any, num_runs: int) -> bool:
    """Run one OperatorDef so many times."""
    net = current().bind(read_net(_single(operator)))
    for _ in range(num_runs):
        net.run()
    return True


def _run_alone(workspace: Workspace, operator: Any) -> None:
    """Run an operator. The net around it is nobody's: whoever watches nets is not told of it."""
    workspace.bind(read_net(_single(operator))).run()


def _single(operator: Any) -> NetDef:
    """A net of one operator."""
    net = NetDef(name="run_operator_once")
    net.op.add().ParseFromString(_serialized(operator))
    return net


def RunPlan(plan: Any) -> bool:
    """Create the nets of a plan and run its steps; see runtime/steps.py. A PlanDef, its serialized bytes, a core.Plan,
    or a core.ExecutionStep by itself."""
    return run_plan(current(), _plan_def(plan))


class BackgroundPlan:
    """A plan that runs in a thread of its own."""

    def __init__(self, workspace: Workspace, plan: PlanDef):
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(workspace, plan), daemon=True)
        self._thread.start()

    def _run(self, workspace: Workspace, plan: PlanDef) -> None:
        try:
            run_plan(workspace, plan)
        except BaseException as error:
            self.error = error

    def is_done(self) -> bool:
        self._thread.join(0)
        return not self._thread.is_alive()

    def is_succeeded(self) -> bool:
        """Whether it is done and nothing went wrong; `error` is what did."""
        return self.is_done() and self.error is None


def RunPlanInBackground(plan: Any) -> BackgroundPlan:
    """RunPlan in a thread of its own."""
    return BackgroundPlan(current(), _plan_def(plan))


def _plan_def(plan: Any) -> PlanDef:
    if hasattr(plan, "HasSubsteps"):
        from serverquant.core.plan import Plan

        plan = Plan(plan)
    return load(plan, PlanDef)


def run_in(workspace: Workspace, what: Any) -> None:
    """Run an operator, a net or a plan in a workspace: a message, or an object with `Proto()` that gives one. A plan's
    nets stay; a net by itself is forgotten."""
    message = what.Proto() if hasattr(what, "Proto") else what
    kind = message.DESCRIPTOR.name
    if kind == "PlanDef":
        run_plan(workspace, load(message, PlanDef))
    elif kind == "OperatorDef":
        _run_alone(workspace, message)
    else:
        workspace.run_once(message)


def BenchmarkNet(name: Any, warmup_runs: int, main_runs: int, run_individual: bool) -> list[float]:
    """Mean milliseconds of a run; with `run_individual` followed by the mean of each operator."""
    if warmup_runs < 0 or main_runs < 1:
        raise ArgumentError(f"needs warmup_runs >= 0 and main_runs >= 1, not {warmup_runs} and {main_runs}")
    net = current().net(_net_name(name))
    for _ in range(warmup_runs):
        net.run()
    began = time.perf_counter()
    for _ in range(main_runs):
        net.run()
    result = [(time.perf_counter() - began) * 1e3 / main_runs]
    if run_individual:
        times = np.array([net.run_timed() for _ in range(main_runs)], dtype=float).reshape(main_runs, -1)
        result += (times.mean(axis=0) / 1e6).tolist()
    return result


def InferShapesAndTypes(
    nets: Iterable[Any],
    blob_dimensions: dict[Any, Iterable[int]] | None = None,
    nets_proto: bool = False,
    blob_types: dict[Any, int] | None = None,
) -> tuple[dict[str, list[int]], dict[str, int]]:
    """Shapes and TensorProto.DataTypes of blobs by name, for nets that run one after the other, without running them.

    What is known before are the blobs of the current workspace, or those of `blob_dimensions` (float, unless
    `blob_types` says otherwise). A blob whose shape depends on more than shapes is not in the result; nor is what an
    operator writes that does not exist or cannot take its inputs: then there is a warning.
    """
    if blob_dimensions is None:
        known = known_blobs(current())
    else:
        types = {blob_name(name): kind for name, kind in (blob_types or {}).items()}
        names = {blob_name(name): tuple(dims) for name, dims in blob_dimensions.items()}
        known = {name: Spec(dims, types.get(name, FLOAT)) for name, dims in names.items()}
    faults: list[ServerquantError] = []
    found = infer(nets, known, current(), faults)
    for fault in faults:
        warnings.warn(str(fault), stacklevel=2)
    shapes = {name: list(spec.dims) for name, spec in found.items() if is_told(spec)}
    return shapes, {name: found[name].dtype for name in shapes}


def FillRandomNetworkInputs(net: Any, input_dims: Iterable[Any], input_types: Iterable[Any]) -> None:
    """Feed random values to what a net reads and does not make. For every operator that reads such blobs, in order, the
    shapes and types ("float", "double", "int", "int64_t", ...) of all its inputs."""
    message = load(net, NetDef)
    dims, types = list(input_dims), list(input_types)
    rng = np.random.default_rng()
    made: set[str] = set()
    at = 0
    for op in message.op:
        if any(name not in made for name in op.input):
            shapes, kinds = (dims[at], types[at]) if at < len(dims) and at < len(types) else ((), ())
            if len(shapes) != len(op.input) or len(kinds) != len(op.input):
                raise ArgumentError(
                    f"{op.type} reads {len(op.input)} blobs, but there are {len(shapes)} shapes and {len(kinds)} types"
                )
            for name, shape, kind in zip(op.input, shapes, kinds):
                if name not in made:
                    FeedBlob(name, _random(rng, shape, kind))
            at += 1
        made.update(op.output)


_RANDOM_TYPES = {"float": np.float32, "double": np.float64, "int": np.int32, "int64_t": np.int64, "uint8_t": np.uint8}


def _random(rng: Any, shape: Iterable[int], kind: str) -> np.ndarray:
    dtype = _RANDOM_TYPES.get(kind)
    if dtype is None:
        raise ArgumentError(f'no random values of type "{kind}"; known: {", ".join(_RANDOM_TYPES)}')
    shape = tuple(shape)
    return rng.random(shape).astype(dtype) if "f" in np.dtype(dtype).kind else rng.integers(0, 100, shape).astype(dtype)


def GetOperatorCost(operator: Any, blobs: Iterable[Any]) -> tuple[int, int]:
    """(operations, bytes written) of an operator on blobs of the current workspace, a multiplication and an addition
    counted as two. Convolutions and products of matrices count what they multiply, others what they write."""
    net = _single(operator)
    op = net.op[0]
    op.input[:] = [blob_name(blob) for blob in blobs]
    found = known_blobs(current())
    known = {name: Spec(spec.dims, FLOAT if spec.dtype == DOUBLE else spec.dtype) for name, spec in found.items()}
    multiplies = op.type.removeprefix("Int8").startswith(("Conv", "FC", "MatMul", "BatchMatMul")) and len(op.input) > 1
    if multiplies and op.input[0] in known and op.input[1] in known:
        _fit_channels(op, known)
    specs = infer([net], known, current())
    made = [specs[name] for name in op.output if name in specs]
    if not made:
        raise NetError(f"the cost of {op.type} does not follow from the shapes of its inputs")
    operations = made[0].size
    if multiplies:
        weight = specs[op.input[1]]
        operations *= 2 * (weight.size // weight.dims[0] if weight.ndim else 1)
    return operations, sum(spec.nbytes for spec in made)


def _fit_channels(op: Any, known: dict[str, Spec]) -> None:
    """Let a convolution's image have as many channels as its weights have: costs are asked of other images too."""
    image, weight = known[op.input[0]], known[op.input[1]]
    arguments = {a.name: a for a in op.arg}
    planes_first = "order" not in arguments or arguments["order"].s != b"NHWC"
    if "Conv" in op.type and image.ndim == weight.ndim > 2 and planes_first:
        group = arguments["group"].i if "group" in arguments else 1
        known[op.input[0]] = image.with_dims((image.dims[0], weight.dims[1] * group, *image.dims[2:]))


def RegisteredOperators() -> list[str]:
    """Types of all operators, custom ones too, sorted."""
    return registry.types()


# ---- helpers -----------------------------------------------------------------------------------------------------


def _net_name(net: Any) -> str:
    if isinstance(net, str):  # at every run: an attribute that is not there costs more than the rest of RunNet
        return net
    if hasattr(net, "Proto"):
        net = net.Proto()
    return net.name if hasattr(net, "SerializeToString") else blob_name(net)


def _serialized(operator: Any) -> bytes:
    if isinstance(operator, (bytes, OperatorDef)):
        return operator if isinstance(operator, bytes) else operator.SerializeToString()
    if hasattr(operator, "SerializeToString"):
        return operator.SerializeToString()
    raise ArgumentError(f"an operator must be an OperatorDef or its serialized bytes, not {type(operator).__name__}")


def _check_device(device_option: Any) -> None:
    if device_option is not None and getattr(device_option, "device_type", 0) != 0:
        raise ArgumentError(f"only CPU devices are supported, not device type {device_option.device_type}")
