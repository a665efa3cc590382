"""The nets of the corpus by every kind of net: the bytes of `simple`."""

from __future__ import annotations

import cases
import corpus
import pytest
import run

import serverquant
from serverquant.blobs.spec import INT8, TENSOR
from serverquant.proto import NetDef
from serverquant.runtime import _dag
from serverquant.runtime.nets import TYPES
from serverquant.runtime.nets.planned import PlannedDagNet
from serverquant.runtime.workspace import Workspace

NETS = [case for case in run.chosen("^net_") if not case.error]


def blobs_of(case: corpus.Case, kind: str) -> list[dict[str, corpus.Value]]:
    """Every blob after each step of the case, run as a net of that type."""
    space, net, found = Workspace(), None, []
    typed = NetDef.FromString(case.net)
    typed.type, typed.num_workers = kind, 3
    if case.init:
        space.run_once(case.init)
    for step in case.steps():
        run.feed(space, step.inputs)
        net = net or space.create_net(typed)
        net.run()
        tensors = [name for name in space.names() if space.get(name).kind in (TENSOR, INT8)]
        found.append({name: run.fetch(space, name) for name in tensors})
    return found


def same(one: corpus.Value, other: corpus.Value) -> bool:
    return not corpus.compare(one, other, {"mode": "exact"})


@pytest.mark.parametrize("case", NETS, ids=lambda case: case.id)
@pytest.mark.parametrize("kind", ["planned", "planned dag"])
def test_planned(case, kind, monkeypatch):
    monkeypatch.setitem(TYPES, "planned dag", PlannedDagNet)
    for one, other in zip(blobs_of(case, "simple"), blobs_of(case, kind), strict=True):
        assert set(NetDef.FromString(case.net).external_output) <= other.keys() <= one.keys()
        assert not [name for name in other if not same(one[name], other[name])]


@pytest.mark.parametrize("case", NETS, ids=lambda case: case.id)
def test_dag(case):
    _dag.force_threads(True)
    try:
        for one, other in zip(blobs_of(case, "simple"), blobs_of(case, "dag"), strict=True):
            assert one.keys() == other.keys()
            assert not [name for name in one if not same(one[name], other[name])]
    finally:
        _dag.force_threads(False)


@pytest.mark.parametrize(
    "case",
    [pytest.param(c, id=c.name, marks=[pytest.mark.slow] if c.full_size else []) for c in cases.cases()],
)
def test_predictors_give_the_bytes_of_simple_nets(case):
    paths, inputs = (case.init_path(), case.predict_path), case.inputs()
    with serverquant.load(*paths, keep_blobs=True) as simple:
        want = simple(inputs)
    for how in ({}, {"keep_weights": False}):
        with serverquant.load(*paths, **how) as planned:
            for _ in range(2):
                got = planned(inputs)
                assert not [name for name in want if not same(as_value(want[name]), as_value(got[name]))]
            assert len(planned.net.operators) <= len(simple.proto.op)


def as_value(value):
    return corpus.Int8(*value) if isinstance(value, tuple) else value
