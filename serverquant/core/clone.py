"""Copies of nets with other blob names, and parts of nets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from serverquant import proto
from serverquant._base.errors import DuplicateError
from serverquant.blobs.store import blob_name
from serverquant.core.references import BlobReference

if TYPE_CHECKING:
    from serverquant.core.net import Net

# (operator, prefix of the new net's blobs, new names by old ones): renames blobs that arguments name
Remap = Callable[[Any, str, dict[str, str]], None]
Versioned = tuple[str, int]
# The versions of blobs that an operator reads and makes.
Ssa = list[tuple[list[Versioned], list[Versioned]]]


# ---- other names -------------------------------------------------------------------------------------------------


def _rename_inner_nets(op: Any, prefix: str, renamed: dict[str, str]) -> None:
    """Blobs of the nets that a control operator carries."""
    for argument in op.arg:
        if argument.HasField("n"):
            inner = renamed_net(argument.n, f"{argument.n.name}_remapped", renamed, None, {})
            argument.n.CopyFrom(inner)


def _rename_recurrent(op: Any, prefix: str, renamed: dict[str, str]) -> None:
    """Blobs that a RecurrentNetwork names in its arguments, and those of its step net."""
    for argument in op.arg:
        argument.strings[:] = [renamed.get(s.decode(), s.decode()).encode() for s in argument.strings]
        if argument.name == "timestep":
            argument.s = renamed.get(argument.s.decode(), argument.s.decode()).encode()
    _rename_inner_nets(op, prefix, renamed)


_REMAPS: dict[str, Remap] = {
    "RecurrentNetwork": _rename_recurrent,
    "If": _rename_inner_nets,
    "AsyncIf": _rename_inner_nets,
    "While": _rename_inner_nets,
}


def renamed_net(
    net: Any, name: str, renamed: dict[str, str], keep: Iterable[int] | None, remaps: dict[str, Remap]
) -> Any:
    """A copy of the message with other blob names, of the operators `keep` alone if given."""
    copy = proto.NetDef()
    copy.CopyFrom(net)
    copy.name = name
    if keep is not None:
        del copy.op[:]
        copy.op.extend(net.op[i] for i in keep)
    remaps = {**_REMAPS, **remaps}
    for op in copy.op:
        for names in (op.input, op.output):
            names[:] = [renamed.get(n, n) for n in names]
        if op.type in remaps:
            remaps[op.type](op, f"{name}/" if name else "", renamed)
    for names in (copy.external_input, copy.external_output):
        names[:] = [renamed.get(n, n) for n in names]
    return copy


def renamed_record(record: Any, renamed: dict[str, str], net: Net) -> Any:
    """The record on the copy's blobs."""
    if record is None:
        return None
    return record.on_blobs([BlobReference(renamed.get(str(b), str(b)), net) for b in record.field_blobs()])


def list_external(net: Any) -> None:
    """Make external inputs of what nothing before makes, external outputs of what nothing reads."""
    made: dict[str, None] = {}
    missing: dict[str, None] = {}
    read: set[str] = set()
    for op in net.op:
        for name in op.input:
            (read.add if name in made else missing.setdefault)(name)
        made.update(dict.fromkeys(op.output))
    net.external_input[:] = list(missing)
    net.external_output[:] = [name for name in made if name not in read]


# ---- who makes what ------------------------------------------------------------------------------------------------


def get_ssa(net: Any, versions: dict[str, int] | None = None) -> tuple[Ssa, dict[str, int]]:
    """For every operator, (inputs, outputs) as (name, version), and the last version of every blob. A blob's version
    is 0 where it comes from outside and grows with every operator that writes it."""
    message = net.Proto() if hasattr(net, "Proto") else net
    versions = dict(versions or {})
    for name in message.external_input:
        versions.setdefault(name, 0)
    steps: Ssa = []
    for op in message.op:
        reads = [(name, versions.setdefault(name, 0)) for name in op.input]
        for name in op.output:
            versions[name] = versions.get(name, -1) + 1
        steps.append((reads, [(name, versions[name]) for name in op.output]))
    return steps, versions


def get_undefined_blobs(ssa: Ssa) -> set[str]:
    """Names that operators read and none before makes."""
    made: set[Versioned] = set()
    undefined: set[str] = set()
    for reads, makes in ssa:
        undefined.update(name for name, version in reads if (name, version) not in made)
        made.update(makes)
    return undefined


def get_op_ids_in_path(ssa: Ssa, versions: dict[str, int], inputs: Iterable[Any], outputs: Iterable[Any]) -> list[int]:
    """Operators that are needed to make the last versions of `outputs` from those of `inputs`."""
    given = {(str(blob), versions[str(blob)]) for blob in inputs}
    makers = {made: index for index, (_, makes) in enumerate(ssa) for made in makes}
    wanted = [(str(blob), versions[str(blob)]) for blob in outputs]
    needed: set[int] = set()
    while wanted:
        blob = wanted.pop()
        if blob in given or makers.get(blob) is None or makers[blob] in needed:
            continue
        needed.add(makers[blob])
        wanted += ssa[makers[blob]][0]
    return sorted(needed)


# ---- parts -------------------------------------------------------------------------------------------------------


def _pairs(inputs: Any) -> dict[str, str]:
    """New names of inputs by old ones, from a dict, a list of pairs, or a list of names that stay."""
    if isinstance(inputs, dict):
        items: Iterable[Any] = inputs.items()
    elif inputs and all(isinstance(i, tuple) and len(i) == 2 for i in inputs):
        items = inputs
    else:
        items = zip(inputs, inputs)
    return {str(old): str(new) for old, new in items}


def partial(
    net: Net, name: str, inputs: Any, outputs: Sequence[Any], remaps: dict[str, Remap] | None
) -> tuple[Net, list[BlobReference]]:
    """See Net.ClonePartial."""
    for blob in outputs:
        if not net.BlobIsDefined(blob):
            raise DuplicateError(f'net "{net}" does not make "{blob}"')
    given = _pairs(inputs)
    ssa, versions = get_ssa(net._net, dict.fromkeys(given, 0))
    needed = get_op_ids_in_path(ssa, versions, given, outputs)
    if set(needed) & set(get_op_ids_in_path(ssa, versions, [], given)):
        raise DuplicateError(f'a part of net "{net}" cannot have inputs that it makes itself: {list(given)}')
    outside = sorted(get_undefined_blobs([ssa[i] for i in needed]) - set(given))
    prefix = f"{name}/" if name else ""
    renamed = {blob: given.get(blob, blob if blob in outside else prefix + blob) for blob in versions}
    copy = net.Clone(name, renamed, needed, remaps)
    message = copy.Proto()
    message.external_input[:] = [*given.values(), *outside]
    message.external_output[:] = [renamed[str(blob)] for blob in outputs]
    return copy, [copy.GetBlobRef(blob) for blob in message.external_output]


def clone_and_bind_net(
    net: Net,
    name: str,
    prefix: str,
    blob_remap: dict[str, str] | None = None,
    inputs: Any = None,
    keep_schema: bool = True,
) -> tuple[Net, dict[str, str]]:
    """A copy whose blobs have `prefix` in front, and the new names by the old ones. Blobs that come from outside keep
    theirs, and those of `blob_remap` get what it says."""
    renamed = {blob_name(k): blob_name(v) for k, v in (blob_remap or {}).items()}
    ssa, versions = get_ssa(net)
    outside = get_undefined_blobs(ssa)
    for blob in versions:
        renamed.setdefault(blob, blob if blob in outside else prefix + blob)
    copy = net.Clone(name, renamed, keep_schema=keep_schema)
    if inputs is not None and not keep_schema:
        copy.set_input_record(inputs)
    return copy, renamed


def reroute(net: Net, tensor: str, producer: Any, can_modify: Iterable[Any]) -> int:
    """See Net.reroute_tensor."""
    if tensor not in producer.input:
        raise DuplicateError(f'the new operator {producer.type} does not read "{tensor}"')
    makers = {name: index for index, op in reversed(list(enumerate(net._net.op))) for name in op.output}
    changing = [index for index, op in enumerate(net._net.op) if op in can_modify]
    place = 1 + max(makers.get(name, -1) for name in producer.input)
    message = net.Proto()
    new = producer.output[0]
    for index in changing:
        op = message.op[index]
        op.input[:] = [new if name == tensor else name for name in op.input]
    message.external_output[:] = [new if name == tensor else name for name in message.external_output]
    net.insert_op_at_idx(producer, place)
    return len(changing)
