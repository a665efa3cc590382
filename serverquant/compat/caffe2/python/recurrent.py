"""RecurrentNetwork from a net of one step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from serverquant import core


def recurrent_net(
    net: Any,
    cell_net: Any,
    inputs: Sequence[tuple[Any, Any]],
    initial_cell_inputs: Sequence[tuple[Any, Any]],
    links: dict[Any, Any],
    timestep: Any = None,
    scope: str | None = None,
    outputs_with_grads: Sequence[int] = (0,),
    recompute_blobs_on_backward: Any = None,
    forward_only: bool = False,
) -> tuple[Any, ...]:
    """Run cell_net for every step of the inputs; all steps and the last step of each state.

    inputs: (blob of a step, sequence) pairs; initial_cell_inputs: (state before a step, first one) pairs; links: the
    state before a step to that after it. Whatever is about gradients has no effect.
    """
    if not inputs or not initial_cell_inputs:
        raise ValueError("a recurrent net needs a sequence and a state")
    after = {str(before): str(made) for before, made in links.items()}
    befores = [str(before) for before, _ in initial_cell_inputs]
    missing = sorted(set(befores) ^ set(after))
    if missing:
        raise ValueError(f"initial states and links must be of the same blobs, not of {', '.join(missing)} alone")
    step_name = "timestep" if timestep is None else str(timestep)
    ours = {str(blob) for blob, _ in inputs} | set(befores) | {step_name}
    around = [name for name in cell_net.Proto().external_input if name not in ours]
    with core.NameScope(scope or f"{net.Name()}/recurrent"):
        states = [core.ScopedName(f"{before}_states") for before in befores]
        workspaces = core.ScopedName("step_workspaces")
    made = [after[before] for before in befores]
    names = [name for blob in made for name in (f"{blob}_all", f"{blob}_last")]
    twice = [state for state in states for _ in range(2)]
    pairs = [blob for before in befores for blob in (before, after[before])]
    results = net.RecurrentNetwork(
        [core.BlobReference(str(blob)) for blob in [*(pair[1] for pair in [*inputs, *initial_cell_inputs]), *around]],
        [core.BlobReference(name) for name in [*names, workspaces]],
        alias_src=twice,
        alias_dst=names,
        alias_offset=[1, -1] * len(states),
        recurrent_states=states,
        initial_recurrent_state_ids=[len(inputs) + i for i in range(len(states))],
        link_internal=pairs + [str(blob) for blob, _ in inputs],
        link_external=twice + [str(blob) for _, blob in inputs],
        link_offset=[0, 1] * len(states) + [0] * len(inputs),
        step_net=cell_net.Proto(),
        timestep=step_name,
    )
    return tuple(results[:-1])
