"""Operator Python: functions of the program as operators."""

from __future__ import annotations

import numpy as np
import pytest

from serverquant import core, options, workspace
from serverquant._base.errors import ArgumentError, OperatorError


@pytest.fixture(autouse=True)
def _fresh_workspace():
    workspace.ResetWorkspace()


class NeedsWords(Exception):
    def __init__(self, first, second):
        super().__init__(first + second)
        self.second = second


def counter(start):
    count = [start]

    def count_up(inputs, outputs):
        count[0] += 1
        outputs[0].feed(np.int64(count[0]))

    return count_up


def test_tensors_write_through():
    def check(inputs, outputs):
        assert inputs[0].shape == (2, 3)
        assert type(inputs[0].data) is np.ndarray
        outputs[0].reshape((3,))
        outputs[0].data[...] = inputs[0].data.sum(axis=0)
        outputs[1].init([2], core.DataType.INT32)[...] = 7
        outputs[2].feed([b"text"])

    workspace.FeedBlob("x", np.ones((2, 3), np.float32))
    net = core.Net("net")
    net.Python(check)("x", ["sum", "sevens", "text"])
    workspace.RunNetOnce(net)
    assert workspace.FetchBlob("sum").tolist() == [2, 2, 2]
    assert workspace.FetchBlob("sevens").dtype == np.int32
    assert workspace.FetchBlob("text").tolist() == [b"text"]


def test_an_exception_keeps_its_type_and_gets_a_place():
    def fail(inputs, outputs):
        raise NeedsWords("first ", "second")

    net = core.Net("failing")
    net.Python(fail)([], [])
    with pytest.raises(NeedsWords, match=r'Python \(op 0 of net "failing.*NeedsWords: first second') as caught:
        workspace.RunNetOnce(net)
    assert isinstance(caught.value, OperatorError)
    assert isinstance(caught.value.__cause__, NeedsWords)
    assert caught.value.second == "second"
    assert caught.value.__cause__.__traceback__.tb_next.tb_frame.f_code.co_name == "fail"


def test_the_workspace_is_passed_on_request():
    def look(inputs, outputs, space):
        space.create_blob("made").feed(space.blobs["x"].fetch() + 1)

    workspace.FeedBlob("x", np.float32([1]))
    workspace.RunOperatorOnce(core.CreatePythonOperator(look, [], [], pass_workspace=True))
    assert workspace.FetchBlob("made") == 2


def test_a_class_around_the_function():
    class Twice:
        def __init__(self, function):
            self.function = function

        def forward(self, inputs, outputs):
            self.function(inputs, outputs)
            outputs[0].data[...] *= 2

    def copy(inputs, outputs):
        outputs[0].feed(inputs[0].data)

    workspace.FeedBlob("x", np.float32([3]))
    workspace.RunOperatorOnce(core.CreatePythonOperator(copy, "x", "y", python_func_type=Twice))
    assert workspace.FetchBlob("y") == 6


def test_every_net_builds_a_function_of_its_own():
    net = core.Net("counting")
    net.Python((counter, [10], {}))([], ["n"])
    for name in ("one", "two"):
        copy = net.Clone(name)
        workspace.CreateNet(copy)
        workspace.RunNet(copy, 2)
        assert workspace.FetchBlob("n") == 12


def test_a_pickled_function_from_elsewhere_is_refused():
    import pickle

    op = core.CreateOperator("Python", [], ["n"], pickled_builder=pickle.dumps((counter, (99,), {})))
    with pytest.raises(ArgumentError, match="trust_pickled_operators"):
        workspace.RunOperatorOnce(op)
    options.trust_pickled_operators = True
    try:
        workspace.RunOperatorOnce(op)
    finally:
        options.trust_pickled_operators = False
    assert workspace.FetchBlob("n") == 100


def test_what_makes_no_sense():
    with pytest.raises(ArgumentError, match="no function goes by the token"):
        workspace.RunOperatorOnce(core.CreateOperator("Python", [], [], token="f:999999"))
    with pytest.raises(ArgumentError, match="token or pickled_builder"):
        workspace.RunOperatorOnce(core.CreateOperator("Python", [], []))
    with pytest.raises(ArgumentError, match="calls a function, not a int"):
        core.CreatePythonOperator(3, [], [])
