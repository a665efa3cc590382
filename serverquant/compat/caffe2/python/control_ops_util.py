"""If and While around nets whose own blobs stay inside: the branches run in Do operators."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from serverquant import core
from serverquant.core.net import Net


def get_external_blob_names(net: Any, lexical_scope: Iterable[Any]) -> tuple[set[str], set[str]]:
    """Names that the net reads from outside, and those of the scope that it writes. AssertionError for one that it
    reads and the scope does not have."""
    scope = {str(name) for name in lexical_scope}
    message = net.Proto()
    reads = core.get_undefined_blobs(core.get_ssa(message)[0])
    for name in reads:
        assert name in scope, f"Input blob {name} is undefined"
    return reads, {name for op in message.op for name in op.output if name in scope}


def _in_do(net: Any, scope: set[str], workspace: Any, reuse: bool) -> tuple[Any, list[str], list[str]]:
    """A net of one Do that runs `net` in a workspace of its own; the outer blobs that it reads and writes."""
    reads, writes = get_external_blob_names(net, scope)
    outer_in, outer_out = sorted(reads), sorted(writes)
    blobs = [*outer_in, *outer_out]
    inner = list(dict.fromkeys(blobs))
    # Blobs of the scope by number: inputs first, then outputs.
    wrapper = Net(f"{net.Name()}/do")
    wrapper.Do(
        [*map(core.BlobReference, outer_in), workspace],
        [*map(core.BlobReference, outer_out), workspace],
        net=net.Proto(),
        inner_blobs=inner,
        outer_blobs_idx=[blobs.index(name) for name in inner],
        copy_external_blobs=False,
        reuse_workspace=reuse,
    )
    wrapper.AddExternalOutput(*map(core.BlobReference, outer_out))
    return wrapper, outer_in, outer_out


def _scope_blob(net: Any) -> Any:
    return net.CreateScope([], core.BlobReference(net.NextName("scope")))


def add_if_op(if_net: Any, cond_blob: Any, lexical_scope: Iterable[Any], then_net: Any, else_net: Any = None) -> None:
    """Add an If. Blobs of the branches that the scope names are the outer ones; all others stay inside."""
    scope = {str(name) for name in lexical_scope}
    reads: list[str] = []
    writes: list[str] = []
    branches = {}
    workspaces = []
    for name, net in (("then_net", then_net), ("else_net", else_net)):
        if net is None:
            continue
        workspaces.append(_scope_blob(if_net))
        branch, outer_in, outer_out = _in_do(net, scope, workspaces[-1], False)
        branches[name] = branch.Proto()
        reads += outer_in
        writes += outer_out
    if_net.If(
        [cond_blob, *map(core.BlobReference, dict.fromkeys(reads)), *workspaces],
        [*map(core.BlobReference, dict.fromkeys(writes)), *workspaces],
        **branches,
    )


def add_while_op(
    while_net: Any, cond_blob: Any, lexical_scope: Iterable[Any], loop_body_net: Any, condition_body_net: Any = None
) -> None:
    """Add a While. The condition's net, if there is one, runs before every round and writes the condition."""
    scope = {str(name) for name in lexical_scope}
    condition = core.BlobReference(cond_blob)
    if condition_body_net is not None and str(condition) not in scope:
        while_net.ConstantFill([], condition, shape=[], dtype=core.DataType.BOOL, value=False)
    scope.add(str(condition))
    reads: list[str] = []
    writes: list[str] = []
    nets = {}
    workspaces = []
    for name, net in (("loop_net", loop_body_net), ("cond_net", condition_body_net)):
        if net is None:
            continue
        workspaces.append(_scope_blob(while_net))
        body, outer_in, outer_out = _in_do(net, scope, workspaces[-1], True)
        nets[name] = body.Proto()
        reads += outer_in
        writes += outer_out
    reads = [name for name in dict.fromkeys(reads) if name != str(condition)]
    while_net.While(
        [condition, *map(core.BlobReference, reads), *workspaces],
        [*map(core.BlobReference, dict.fromkeys(writes)), *workspaces],
        **nets,
    )
