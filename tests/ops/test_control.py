"""Operators that run nets, and those that keep a state."""

from __future__ import annotations

import numpy as np
import pytest

from serverquant import core, options, workspace
from serverquant._base.errors import ArgumentError, DTypeError, MissingBlobError, NetError, ServerquantError, ShapeError


@pytest.fixture(autouse=True)
def _fresh_workspace():
    workspace.ResetWorkspace()


def inner(*ops, name="inner") -> core.Net:
    net = core.Net(name)
    net.Proto().op.extend(ops)
    return net


def run(*args, **kwargs) -> None:
    workspace.RunOperatorOnce(core.CreateOperator(*args, **kwargs))


COPY = core.CreateOperator("Copy", ["x"], ["y"])


# ---- If ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("condition", [True, False])
def test_if_runs_one_of_two(condition):
    workspace.FeedBlob("c", np.array([condition]))
    workspace.FeedBlob("x", np.float32([1]))
    workspace.FeedBlob("z", np.float32([2]))
    run("If", ["c"], ["y"], then_net=inner(COPY).Proto(), else_net=inner(core.CreateOperator("Copy", "z", "y")).Proto())
    assert workspace.FetchBlob("y") == (1 if condition else 2)


def test_the_operators_behind_an_if_see_what_it_wrote_though_it_does_not_say():
    net = core.Net("net")
    net.ConstantFill([], "y", shape=[5], value=1.0)
    net.Relu("y", "before")
    net.If("c", [], then_net=inner(COPY).Proto())
    net.Relu("y", "after")
    workspace.FeedBlob("x", np.float32([[7, 8]]))
    workspace.FeedBlob("c", np.array(True))
    workspace.CreateNet(net)
    for condition, want in ((True, [[7, 8]]), (False, [1] * 5), (True, [[7, 8]])):
        workspace.FeedBlob("c", np.array(condition))
        workspace.RunNet(net)
        assert workspace.FetchBlob("after").tolist() == want


@pytest.mark.parametrize(
    ("condition", "error"),
    [(np.array([True, False]), ShapeError), (np.zeros(0, bool), ShapeError), (np.int32([1]), DTypeError)],
)
def test_a_condition_is_one_bool(condition, error):
    workspace.FeedBlob("c", condition)
    workspace.FeedBlob("x", np.float32([1]))
    with pytest.raises(error, match=r'If \(op 0 of net .*the condition "c".*expected one bool'):
        run("If", ["c"], ["y"], then_net=inner(COPY).Proto())


def test_a_net_inside_is_checked_when_the_net_is_created_and_nothing_is_left_behind():
    net = core.Net("net")
    net.Copy("x", "made")
    net.If("c", "y", then_net=inner(core.CreateOperator("Copy", ["nowhere"], ["y"])).Proto())
    workspace.FeedBlob("c", np.array(True))
    workspace.FeedBlob("x", np.float32([1]))
    with pytest.raises(MissingBlobError, match=r'of net "inner.*"nowhere" does not exist'):
        workspace.CreateNet(net)
    assert workspace.Blobs() == ["c", "x"]
    with pytest.raises(ArgumentError, match="then_net"):
        run("If", ["c"], ["y"])


def test_a_net_inside_reads_what_an_operator_before_makes():
    net = core.Net("net")
    net.ConstantFill([], "x", shape=[2], value=3.0)
    net.ConstantFill([], "c", shape=[1], value=True, dtype=core.DataType.BOOL)
    net.If("c", "y", then_net=inner(COPY).Proto())
    workspace.RunNetOnce(net)
    assert workspace.FetchBlob("y").tolist() == [3, 3]


def test_errors_inside_name_the_net_inside():
    workspace.FeedBlob("c", np.array(True))
    workspace.FeedBlob("x", np.int32([0]))
    with pytest.raises(ServerquantError, match=r'Assert \(op 0 of net "checking.*why not'):
        run(
            "If",
            ["c"],
            [],
            then_net=inner(core.CreateOperator("Assert", "x", [], error_msg="why not"), name="checking").Proto(),
        )


# ---- While -------------------------------------------------------------------------------------------------------


def loop(limit: int, **more) -> None:
    for name, value in (("i", 0), ("limit", limit), ("one", 1)):
        workspace.FeedBlob(name, np.int64([value]))
    test = core.CreateOperator("LT", ["i", "limit"], ["go"])
    step = core.CreateOperator("Add", ["i", "one"], ["i"])
    workspace.FeedBlob("go", np.array([True]))
    run("While", ["go"], ["i"], cond_net=inner(test).Proto(), loop_net=inner(step).Proto(), **more)


@pytest.mark.parametrize("limit", [0, 1, 7])
def test_while(limit):
    loop(limit)
    assert workspace.FetchBlob("i") == limit


def test_a_loop_without_end_is_an_error():
    with pytest.raises(ServerquantError, match=r"While .*has run 20 rounds without an end; raise the argument"):
        loop(1000, max_iterations=20)
    options.max_loop_iterations = 30
    try:
        with pytest.raises(ServerquantError, match="30 rounds"):
            loop(1000)
        loop(1000, max_iterations=0)
    finally:
        options.max_loop_iterations = 1_000_000
    assert workspace.FetchBlob("i") == 1000


# ---- ONNXWhile ---------------------------------------------------------------------------------------------------


def onnx_while(shape, trips, condition=True, keep_going=True, **flags):
    net = core.Net("body")
    net.Add(["first", "first"], "next")
    net.Copy("next", "row")
    net.ConstantFill([], "go", shape=[], value=keep_going, dtype=core.DataType.BOOL)
    message = net.Proto()
    message.external_input[:] = ["i", "cond", "first"]
    message.external_output[:] = ["go", "next", "row"]
    workspace.FeedBlob("m", np.array(trips, np.int64))
    workspace.FeedBlob("c", np.array(condition))
    workspace.FeedBlob("x", np.ones(shape, np.float32))
    run(
        "ONNXWhile",
        ["m", "c", "x"],
        ["last", "rows"],
        body=message,
        **{"has_trip_count": True, "has_cond": True, **flags},
    )
    return workspace.FetchBlob("last"), workspace.FetchBlob("rows")


@pytest.mark.parametrize(
    ("shape", "trips", "want"),
    [((1,), 3, (3,)), ((1, 2), 3, (3, 2)), ((2, 3), 3, (3, 2, 3)), ((), 2, (2,)), ((2, 3), 1, (2, 3)), ((4,), 0, (0,))],
)
def test_onnx_while_gathers(shape, trips, want):
    last, rows = onnx_while(shape, trips)
    assert last.shape == shape
    assert (last == 2.0**trips).all()
    assert rows.shape == want


def test_onnx_while_stops_by_its_condition_and_hides_its_blobs():
    last, _ = onnx_while((1,), 9, keep_going=False)
    assert last == 2
    last, _ = onnx_while((1,), 9, condition=False)
    assert last == 1
    assert not workspace.HasBlob("next")
    last, _ = onnx_while((1,), 2, disable_scopes=True)
    assert workspace.FetchBlob("i") == 2


def test_onnx_while_counts_its_outputs():
    net = core.Net("body")
    net.Copy("first", "next")
    net.Proto().external_input[:] = ["i", "cond", "first"]
    net.Proto().external_output[:] = ["cond", "next"]
    for name, value in (("m", np.int64(1)), ("c", np.array(True)), ("x", np.float32([1]))):
        workspace.FeedBlob(name, value)
    with pytest.raises(NetError, match="expected the condition, 1 values"):
        run("ONNXWhile", ["m", "c", "x"], ["a", "b"], body=net.Proto())


# ---- Do ----------------------------------------------------------------------------------------------------------


def test_do_binds_blobs_and_hides_the_others():
    net = core.Net("net")
    net.CreateScope([], "scope")
    body = inner(core.CreateOperator("Add", ["a", "b"], ["hidden"]), core.CreateOperator("Copy", "hidden", "c"))
    net.Do(
        ["x", "y", "scope"], ["z", "scope"], net=body.Proto(), inner_blobs=["a", "b", "c"], outer_blobs_idx=[0, 1, 2]
    )
    net.HasScope("scope", "has")
    workspace.CreateNet(net, input_blobs=["x", "y"])
    for value in (1.0, 5.0):
        workspace.FeedBlob("x", np.full(2, value, np.float32))
        workspace.FeedBlob("y", np.full(2, value, np.float32))
        workspace.RunNet(net)
        assert workspace.FetchBlob("z").tolist() == [2 * value] * 2
    assert workspace.FetchBlob("has").tolist() == [True]
    assert not workspace.HasBlob("hidden")


def test_do_tells_two_inner_names_from_outer_ones_of_the_same_name():
    """The blob that is "b" inside is "a" outside; inside there is another "a"."""
    net = core.Net("net")
    net.CreateScope([], "scope")
    body = inner(
        core.CreateOperator("Concat", ["b", "b"], ["a", "i"], axis=0), core.CreateOperator("Add", ["b", "b"], "c")
    )
    net.Do(["a", "scope"], ["z", "scope"], net=body.Proto(), inner_blobs=["b", "c"], outer_blobs_idx=[0, 1])
    workspace.FeedBlob("a", np.float32([1, 2, 3]))
    workspace.RunNetOnce(net)
    assert workspace.FetchBlob("z").tolist() == [2, 4, 6]


def test_do_goes_on_with_the_blobs_that_another_left():
    net = core.Net("net")
    net.CreateScope([], "scope")
    fill = inner(core.CreateOperator("ConstantFill", [], "x", shape=[2], value=4.0))
    net.Do("scope", "scope", net=fill.Proto())
    net.Do(
        "scope",
        ["z", "scope"],
        net=inner(core.CreateOperator("Copy", "x", "out")).Proto(),
        inner_blobs=["out"],
        outer_blobs_idx=[0],
        reuse_workspace=True,
    )
    workspace.CreateNet(net)
    for _ in range(2):
        workspace.RunNet(net)
        assert workspace.FetchBlob("z").tolist() == [4, 4]


@pytest.mark.parametrize(
    ("inputs", "outputs", "inner_blobs", "numbers", "message"),
    [
        (["x", "s"], ["y", "s"], ["a"], [2], "there are 2 blobs around"),
        (["x", "s"], ["y", "s"], ["a"], [0, 1], "1 inner_blobs do not go with 2"),
        (["x", "s"], ["y"], ["a"], [0], "must be one blob: the scope"),
    ],
)
def test_do_checks_its_arguments(inputs, outputs, inner_blobs, numbers, message):
    run("CreateScope", [], "s")
    workspace.FeedBlob("x", np.float32([1]))
    with pytest.raises(ArgumentError, match=message):
        run("Do", inputs, outputs, net=inner(COPY).Proto(), inner_blobs=inner_blobs, outer_blobs_idx=numbers)


def test_do_needs_a_scope():
    workspace.FeedBlob("s", np.float32([1]))
    body = inner(core.CreateOperator("ConstantFill", [], "x", shape=[1])).Proto()
    with pytest.raises(DTypeError, match="expected what CreateScope makes"):
        run("Do", ["s"], ["s"], net=body)


# ---- states ------------------------------------------------------------------------------------------------------


def value_of(op_type, *inputs, **kwargs):
    run(op_type, list(inputs), ["out"], **kwargs)
    return workspace.FetchBlob("out")


def test_counter():
    run("CreateCounter", [], "k", init_count=2)
    assert [bool(value_of("CountDown", "k")) for _ in range(3)] == [False, False, True]
    assert value_of("CountUp", "k") == -1
    assert value_of("RetrieveCount", "k") == 0
    assert value_of("CheckCounterDone", "k")
    assert value_of("ResetCounter", "k", init_count=9) == 0
    assert value_of("RetrieveCount", "k").dtype == np.int64
    blob = workspace.current().get("k")
    workspace.current().create("copy").deserialize(blob.serialize("k"))
    assert value_of("RetrieveCount", "copy") == 9
    with pytest.raises(ArgumentError, match="init_count is -1"):
        run("CreateCounter", [], "k", init_count=-1)
    workspace.FeedBlob("x", np.int64([1]))
    with pytest.raises(DTypeError, match="expected a Counter"):
        value_of("CountUp", "x")


def test_under_a_lock():
    run("CreateMutex", [], "m")
    workspace.FeedBlob("a", np.int32([5]))
    workspace.FeedBlob("b", np.int32([3]))
    run("AtomicFetchAdd", ["m", "a", "b"], ["a", "old"])
    assert (workspace.FetchBlob("a"), workspace.FetchBlob("old")) == (8, 5)
    workspace.FeedBlob("it", np.int64([4]))
    run("AtomicIter", ["m", "it"], "it")
    run("Iter", ["it"], "it")
    assert workspace.FetchBlob("it").tolist() == [6]


def test_iter_counts_the_runs_of_its_net():
    net = core.Net("net")
    net.Iter([], "it")
    workspace.CreateNet(net)
    workspace.RunNet(net, 3)
    assert workspace.FetchBlob("it").tolist() == [3]


def test_atomic_bool_and_timer():
    run("CreateAtomicBool", [], "b")
    assert not value_of("CheckAtomicBool", "b")
    workspace.FeedBlob("yes", np.array(True))
    run("ConditionalSetAtomicBool", ["b", "yes"], [])
    assert value_of("CheckAtomicBool", "b")
    run("TimerBegin", [], "t")
    first = value_of("TimerGet", "t")
    assert value_of("TimerGetAndEnd", "t")[0] >= first > 0
    with pytest.raises(ArgumentError, match="has ended"):
        value_of("TimerGet", "t")
    assert value_of("WallClockTime") > 1e18


# ---- checks ------------------------------------------------------------------------------------------------------


def test_assert():
    workspace.FeedBlob("x", np.array([[1, 1], [1, 0]], np.int64))
    with pytest.raises(ServerquantError, match=r'element 3 of "x" is 0\. too bad'):
        run("Assert", "x", [], error_msg="too bad")
    workspace.FeedBlob("x", np.ones((2, 2), bool))
    run("Assert", "x", [])
    workspace.FeedBlob("x", np.float32([1]))
    with pytest.raises(DTypeError):
        run("Assert", "x", [])


def test_conditional():
    workspace.FeedBlob("c", np.array([True, False, True]))
    workspace.FeedBlob("t", np.arange(6, dtype=np.float32).reshape(3, 2))
    workspace.FeedBlob("f", -np.ones((3, 2), np.float32))
    assert value_of("Conditional", "c", "t", "f").tolist() == [[0, 1], [-1, -1], [4, 5]]
    workspace.FeedBlob("f", np.ones((3, 1), np.float32))
    with pytest.raises(ShapeError, match='input 2 "f"'):
        value_of("Conditional", "c", "t", "f")


def test_print(capsys, tmp_path):
    workspace.ResetWorkspace(str(tmp_path))
    workspace.FeedBlob("x", np.float32([1, 2, 3]))
    net = core.Net("net")
    net.Print("x", [], limit=2, every_n=2)
    net.Print("x", [], to_file=1)
    workspace.CreateNet(net)
    workspace.RunNet(net, 3)
    assert capsys.readouterr().err.count("x (3 float32): [1.0, 2.0]\n") == 2
    assert (tmp_path / "x.log").read_text().count("\n") == 3


def test_summarize(capsys, tmp_path):
    workspace.ResetWorkspace(str(tmp_path))
    for values, want in (
        ([1, 2, 3, 10], [1, 10, 4, 4.082483]),
        ([5], [5, 5, 5, 0]),
        ([1e8, 1e8 + 8, 1e8 + 16, 3], [3, 100000016, 75000008, 50000004]),  # sums in double
    ):
        workspace.FeedBlob("a/x", np.float32(values))
        np.testing.assert_array_equal(value_of("Summarize", "a/x"), np.float32(want))
    for values, want in (([1, np.nan, -2, 3], [-2, 3]), ([np.nan, np.inf, -2], [np.nan, np.nan])):
        workspace.FeedBlob("a/x", np.float32(values))
        np.testing.assert_array_equal(value_of("Summarize", "a/x"), [*np.float32(want), np.nan, np.nan])
    assert capsys.readouterr().err == ""
    workspace.FeedBlob("a/x", np.arange(5, dtype=np.float32))
    run("Summarize", "a/x", [])
    assert "0 4 2 1.58114" in capsys.readouterr().err
    run("Summarize", "a/x", [], to_file=1)
    assert (tmp_path / "a#x.summary").read_text() == "0 4 2 1.58114\n"
    workspace.FeedBlob("a/x", np.zeros(0, np.float32))
    with pytest.raises(ShapeError, match="at least one element"):
        run("Summarize", "a/x", [])


def test_blobs_as_such():
    workspace.FeedBlob("x", np.float32([1]))
    assert value_of("GetAllBlobNames").tolist() == [b"out", b"x"]
    run("Free", "x", "x")
    with pytest.raises(MissingBlobError, match="empty"):
        workspace.FetchBlob("x")
    with pytest.raises(ServerquantError, match="on purpose"):
        run("ThrowException", [], [], message="on purpose")
