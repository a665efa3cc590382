"""Loops and branches as execution steps. A condition is a bool blob, or a net whose last external output is one; such a
net runs before the condition is looked at."""

from __future__ import annotations

from typing import Any

from serverquant import core
from serverquant.core.net import Net
from serverquant.core.plan import ExecutionStep

_taken: set[str] = set()


def _name(base: str, kind: str) -> str:
    found, number = f"{base}/{kind}", 0
    while found in _taken:
        number += 1
        found = f"{base}/{kind}_{number}"
    _taken.add(found)
    return found


def _list(parts: tuple[Any, ...]) -> list[Any]:
    """One list, given as such or piece by piece."""
    if not parts:
        raise ValueError("needs at least one")
    return list(parts[0]) if len(parts) == 1 and isinstance(parts[0], list) else list(parts)


def _are_nets(parts: list[Any]) -> bool:
    return all(isinstance(part, Net) for part in parts)


def _joined(first: Any, second: Any) -> list[Any]:
    """Nets and steps one after the other: nets, if all are nets, else steps."""
    one, two = _list((first,)), _list((second,))
    if _are_nets(one) == _are_nets(two):
        return one + two
    return [*([Do("nets", one)] if _are_nets(one) else one), *([Do("nets", two)] if _are_nets(two) else two)]


def GetConditionBlobFromNet(condition_net: Net) -> Any:
    """Its last external output."""
    outputs = condition_net.Proto().external_output
    assert outputs, f"condition net {condition_net} has no external output"
    return core.BlobReference(outputs[-1])


def _blob(condition: Any) -> Any:
    return GetConditionBlobFromNet(condition) if isinstance(condition, Net) else core.BlobReference(condition)


def BoolNet(*blobs_with_bool_value: Any) -> Net:
    """A net that sets blobs to constants: (blob, value) pairs."""
    net = Net("bool_net")
    for blob, value in _list(blobs_with_bool_value):
        made = net.ConstantFill([], [blob], shape=[], value=bool(value), dtype=core.DataType.BOOL)
        net.AddExternalOutput(made)
    return net


def NotNet(condition_blob_or_net: Any) -> tuple[Net, Any]:
    """A net that negates a condition, and its output."""
    net = Net("not_net")
    made = net.Not(_blob(condition_blob_or_net))
    net.AddExternalOutput(made)
    return net, made


def _copy_net(condition: Any) -> tuple[Net, Any]:
    net = Net("copy_condition_blob_net")
    made = net.Copy(_blob(condition))
    net.AddExternalOutput(made)
    return net, made


def MergeConditionNets(name: str, condition_nets: Any, relation: str) -> Any:
    """One net that runs all condition nets and joins their conditions by And or Or."""
    if not isinstance(condition_nets, list):
        return condition_nets
    if len(condition_nets) <= 1:
        return condition_nets[0] if condition_nets else None
    whole = Net(name)
    last = None
    for net in condition_nets:
        message = whole.Proto()
        message.op.extend(net.Proto().op)
        message.external_input.extend(n for n in net.Proto().external_input if n not in message.external_input)
        for key, values in net._attributes.items():
            whole._attributes[key] += values
        last = _blob(net) if last is None else getattr(whole, relation)([last, _blob(net)])
    whole.AddExternalOutput(last)
    return whole


def CombineConditions(name: str, condition_nets: Any, relation: str) -> Any:
    """One net that joins the conditions of nets that have run."""
    if not condition_nets:
        return None
    if not isinstance(condition_nets, list):
        raise ValueError("condition_nets is a list of nets")
    if len(condition_nets) == 1:
        return _copy_net(condition_nets[0])[0]
    whole = Net(name)
    last = _blob(condition_nets[0])
    for net in condition_nets[1:]:
        last = getattr(whole, relation)([last, _blob(net)])
    whole.AddExternalOutput(last)
    return whole


# ---- steps ---------------------------------------------------------------------------------------------------------


def _step(name: str, kind: str, parts: Any, **options: Any) -> ExecutionStep:
    return core.scoped_execution_step(_name(name, kind), parts, **options)


def Do(name: str, *nets_or_steps: Any) -> ExecutionStep:
    """One after the other, once."""
    parts = _list(nets_or_steps)
    return parts[0] if len(parts) == 1 and isinstance(parts[0], ExecutionStep) else _step(name, "Do", parts)


def DoParallel(name: str, *nets_or_steps: Any) -> ExecutionStep:
    """Side by side."""
    parts = _list(nets_or_steps)
    if len(parts) == 1 and isinstance(parts[0], ExecutionStep):
        return parts[0]
    return _step(name, "DoParallel", [core.to_execution_step(p) for p in parts], concurrent_substeps=True)


def For(name: str, nets_or_steps: Any, iter_num: int) -> ExecutionStep:
    """So many times."""
    return _step(name, "For", _list((nets_or_steps,)), num_iter=iter_num)


def _before(condition: Any, more: list[Any], body: Any) -> list[Any]:
    """What finds out the condition, then the body."""
    return (
        _joined([condition, *more] if isinstance(condition, Net) else more, body)
        if (isinstance(condition, Net) or more)
        else _list((body,))
    )


def _until_stop(name: str, kind: str, stop: Any, parts: list[Any], only_once: bool = False) -> ExecutionStep:
    """The parts, until `stop` is true, which it is not at first."""
    inner = _step(name, f"{kind}-inner", parts, should_stop_blob=stop, only_once=only_once or None)
    return Do(f"{name}/{kind}", BoolNet((stop, False)), inner)


def While(name: str, condition_blob_or_net: Any, nets_or_steps: Any) -> ExecutionStep:
    """As long as the condition is true, which is looked at before each round."""
    not_net, stop = NotNet(condition_blob_or_net)
    return _until_stop(name, "While", stop, _before(condition_blob_or_net, [not_net], nets_or_steps))


def Until(name: str, condition_blob_or_net: Any, nets_or_steps: Any) -> ExecutionStep:
    """As long as the condition is false, which is looked at before each round."""
    if isinstance(condition_blob_or_net, Net):
        stop = _blob(condition_blob_or_net)
        return _until_stop(name, "Until", stop, _before(condition_blob_or_net, [], nets_or_steps))
    copy_net, stop = _copy_net(condition_blob_or_net)
    return _until_stop(name, "Until", stop, _before(None, [copy_net], nets_or_steps))


def DoWhile(name: str, condition_blob_or_net: Any, nets_or_steps: Any) -> ExecutionStep:
    """As long as the condition is true, which is looked at after each round."""
    not_net, stop = NotNet(condition_blob_or_net)
    after = [condition_blob_or_net, not_net] if isinstance(condition_blob_or_net, Net) else [not_net]
    return _until_stop(name, "DoWhile", stop, _joined(nets_or_steps, after))


def DoUntil(name: str, condition_blob_or_net: Any, nets_or_steps: Any) -> ExecutionStep:
    """As long as the condition is false, which is looked at after each round."""
    if isinstance(condition_blob_or_net, Net):
        stop = _blob(condition_blob_or_net)
        return _until_stop(name, "DoUntil", stop, _joined(nets_or_steps, [condition_blob_or_net]))
    return _step(name, "DoUntil", _list((nets_or_steps,)), should_stop_blob=_blob(condition_blob_or_net))


def _once(name: str, condition: Any, body: Any, wanted: bool) -> ExecutionStep:
    """Once, if the condition is as wanted."""
    if wanted:
        net, stop = NotNet(condition)
    elif isinstance(condition, Net):
        return _until_stop(name, "IfNot", _blob(condition), _before(condition, [], body), only_once=True)
    else:
        net, stop = _copy_net(condition)
    return _until_stop(name, "If" if wanted else "IfNot", stop, _before(condition, [net], body), only_once=True)


def _either(name: str, condition: Any, first: Any, second: Any, wanted: bool) -> ExecutionStep:
    if not second:
        return _once(name, condition, first, wanted)
    if not isinstance(condition, Net):
        return Do(name, _once(name, condition, first, wanted), _once(name, condition, second, not wanted))
    # The condition is found out once, and kept: the first branch may change what it is made of.
    kept, blob = _copy_net(condition)
    return Do(
        name,
        Do(name, condition, kept),
        _once(name, blob, first, wanted),
        _once(name, blob, second, not wanted),
    )


def If(name: str, condition_blob_or_net: Any, true_nets_or_steps: Any, false_nets_or_steps: Any = None) -> Any:
    """One of two, once."""
    return _either(name, condition_blob_or_net, true_nets_or_steps, false_nets_or_steps, True)


def IfNot(name: str, condition_blob_or_net: Any, true_nets_or_steps: Any, false_nets_or_steps: Any = None) -> Any:
    """One of two, once: the first if the condition is false."""
    return _either(name, condition_blob_or_net, true_nets_or_steps, false_nets_or_steps, False)


def Switch(name: str, *conditions: Any) -> ExecutionStep:
    """Of (condition, body) pairs, each body whose condition is true."""
    return Do(name, *(_once(name, condition, body, True) for condition, body in _list(conditions)))


def SwitchNot(name: str, *conditions: Any) -> ExecutionStep:
    """Of (condition, body) pairs, each body whose condition is false."""
    return Do(name, *(_once(name, condition, body, False) for condition, body in _list(conditions)))
