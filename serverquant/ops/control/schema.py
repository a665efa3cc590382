"""Schemas of operators that run nets, of counters and other states, of checks and messages."""

from __future__ import annotations

from typing import Any

from serverquant.runtime.registry import declare
from serverquant.runtime.schema import MANY, Arg

ANY: dict[str, Any] = {"inputs": (0, MANY), "outputs": (0, MANY), "inplace": "any", "effects": True}
_LIMIT = Arg("max_iterations", "int", None, "Raise after so many rounds; options.max_loop_iterations if not given.")


def _scalar(op: Any, ins: list) -> list[tuple[int, ...]]:
    return [()] * len(op.outputs)


def _one(op: Any, ins: list) -> list[tuple[int, ...]]:
    return [(1,)] * len(op.outputs)


# ---- nets inside ---------------------------------------------------------------------------------------------------

declare(
    "If",
    "AsyncIf",
    **{**ANY, "inputs": (1, MANY)},
    args=[
        Arg("then_net", "net", None, "Runs where input 0 is true; needed."),
        Arg("else_net", "net", None, "Without it nothing happens where input 0 is false."),
    ],
    doc="Runs one of two nets on the blobs around. What the nets read and write should be named as inputs and outputs; "
    "a blob that is not is found all the same.",
    in_doc=["condition: one bool"],
)
declare(
    "While",
    **{**ANY, "inputs": (1, MANY)},
    args=[
        Arg("loop_net", "net", None, "Runs every round; needed."),
        Arg("cond_net", "net", None, "Runs before input 0 is looked at, every time."),
        _LIMIT,
    ],
    doc="Runs a net on the blobs around as long as input 0 is true.",
    in_doc=["condition: one bool"],
)
declare(
    "ONNXWhile",
    inputs=(2, MANY),
    outputs=(0, MANY),
    inplace="any",
    args=[
        Arg("body", "net", None, "Runs every round; needed."),
        Arg("has_trip_count", "bool", False, "Input 0 counts."),
        Arg("has_cond", "bool", False, "The condition counts."),
        Arg("num_loop_carried_deps", "int", -1, "How many values go from round to round; -1: all inputs but two."),
        Arg("save_scopes", "bool", False, "For gradients; has no effect."),
        Arg("disable_scopes", "bool", False, "The body runs on the blobs around instead of on its own."),
        _LIMIT,
    ],
    effects=True,
    doc="Loop of ONNX. The body's external inputs are the round's number, the condition, and the values that go from "
    "round to round; its external outputs the next condition, those values, and values of which all rounds are "
    "gathered along axis 0: rows where the first dimension is 1, else a new first dimension (Caffe2 writes out of "
    "bounds there). One round alone is given as it is.",
    in_doc=["max_trip_count: one int64", "condition: one bool", "values that go from round to round, at first"],
    out_doc=["those values at last, then the gathered ones"],
)
declare(
    "Do",
    **{**ANY, "inputs": (1, MANY), "outputs": (1, MANY)},
    args=[
        Arg("net", "net", None, "What runs; needed."),
        Arg("inner_blobs", "strings", (), "Names in the net of blobs around."),
        Arg("outer_blobs_idx", "ints", (), "Which: numbers into the inputs, then the outputs, without the scope."),
        Arg("reuse_workspace", "bool", False, "Go on with the blobs that the scope's last Do has left."),
        Arg("saved_fwd_blobs", "strings", (), "For gradients; has no effect."),
        Arg("copy_external_blobs", "bool", False, "Has no effect."),
    ],
    doc="Runs a net on blobs of its own; some of them are blobs around. The last input and output are the scope.",
)
declare("CreateScope", inputs=0, outputs=1, effects=True, doc="A scope: the blobs of the nets that Do runs.")
declare("HasScope", inputs=1, outputs=1, shape=_one, effects=True, doc="Whether a Do has run in the scope: bool [1].")

# ---- counters and other states -------------------------------------------------------------------------------------

_COUNT = [Arg("init_count", "int", 0, "First value, not negative.")]
declare(
    "CreateCounter", inputs=(0, 1), outputs=1, args=_COUNT, effects=True, doc="A counter that lives in a blob, int64."
)
declare(
    "ResetCounter",
    inputs=1,
    outputs=(0, 1),
    args=_COUNT,
    shape=_scalar,
    effects=True,
    doc="Sets it; gives what it was, int64.",
)
declare("CountUp", inputs=1, outputs=1, shape=_scalar, effects=True, doc="Adds 1; gives what it was, int64.")
declare("CountDown", inputs=1, outputs=1, shape=_scalar, effects=True, doc="Takes 1 off; gives whether it is below 0.")
declare("CheckCounterDone", inputs=1, outputs=1, shape=_scalar, effects=True, doc="Whether it is 0 or below.")
declare("RetrieveCount", inputs=1, outputs=1, shape=_scalar, effects=True, doc="Its value, int64.")
declare("CreateMutex", inputs=0, outputs=1, effects=True, doc="A lock that lives in a blob.")
declare(
    "AtomicFetchAdd",
    "AtomicFetchAdd64",
    inputs=3,
    outputs=2,
    inplace=[(1, 0)],
    shape=lambda op, ins: [ins[1].dims, ins[1].dims],
    effects=True,
    doc="Adds b to a under the lock; gives the sum and what a was. Of one element, int32 or (64) int64.",
    in_doc=["mutex", "a", "b"],
    out_doc=["sum", "what a was"],
)
declare(
    "AtomicIter",
    inputs=2,
    outputs=1,
    inplace=[(1, 0)],
    args=[Arg("every_n", "int", 1, "Not used.")],
    shape=_one,
    effects=True,
    doc="Adds 1 to an int64 of one element under the lock.",
    in_doc=["mutex", "iter"],
)
declare(
    "Iter",
    inputs=(0, 1),
    outputs=1,
    inplace=[(0, 0)],
    shape=_one,
    effects=True,
    doc="Adds 1 to an int64 that begins at 0.",
)
declare("CreateAtomicBool", inputs=0, outputs=1, effects=True, doc="A bool that lives in a blob, false at first.")
declare(
    "ConditionalSetAtomicBool", inputs=2, outputs=0, effects=True, doc="Sets it to true if the bool in input 1 is true."
)
declare("CheckAtomicBool", inputs=1, outputs=1, shape=_one, effects=True, doc="Its value: bool [1].")

_NAMED = [Arg("counter_name", "string", "", "Its name in the statistics of Caffe2; not used.")]
declare("TimerBegin", inputs=0, outputs=1, args=_NAMED, effects=True, doc="Begins to measure time.")
declare("TimerEnd", inputs=1, outputs=0, effects=True, doc="Ends it.")
declare("TimerGet", inputs=1, outputs=1, shape=_scalar, effects=True, doc="Nanoseconds since it began, int64.")
declare(
    "TimerGetAndEnd",
    inputs=1,
    outputs=1,
    shape=_one,
    effects=True,
    doc="Nanoseconds since it began, int64 [1]; ends it.",
)
declare("WallClockTime", inputs=0, outputs=1, shape=_scalar, effects=True, doc="Nanoseconds since 1970, int64.")

# ---- checks, messages, blobs as such -------------------------------------------------------------------------------

declare(
    "Assert",
    inputs=1,
    outputs=0,
    args=[Arg("error_msg", "string", "", "Ends the error's message.")],
    effects=True,
    doc="An error unless all elements (bool, int32 or int64) are true.",
)
declare(
    "Conditional",
    inputs=3,
    outputs=1,
    shape=lambda op, ins: [ins[1].dims],
    doc="Row i of input 1 where condition i is true, else of input 2.",
    in_doc=["condition: bool [N]", "DataT: [N, ...]", "DataF: like DataT"],
)
declare(
    "Print",
    inputs=(1, MANY),
    outputs=0,
    args=[
        Arg("to_file", "bool", False, "Append to a file of the blob's name in the workspace's root folder instead."),
        Arg("limit", "int", 0, "So many elements at most; 0: 1000."),
        Arg("every_n", "int", 1, "Print at every n-th run."),
    ],
    effects=True,
    doc="Prints a tensor.",
)
declare(
    "Summarize",
    inputs=1,
    outputs=(0, 1),
    args=[Arg("to_file", "bool", False, "Append to the file NAME.summary in the workspace's root folder instead.")],
    shape=lambda op, ins: [(4,)] * len(op.outputs),
    effects=True,
    doc="Minimum, maximum, mean and standard deviation (over N - 1; 0 for one element) of a tensor, printed or in Y.",
    in_doc=["X: float, not empty"],
    out_doc=["Y: float [4], these four; optional, and nothing is printed then unless to_file is set"],
)
declare("LogInfo", **ANY, args=None, doc="Prints its inputs.")
declare(
    "DataCouple",
    **{**ANY, "inplace": [(i, i) for i in range(64)]},
    shape=lambda op, ins: [i.dims for i in ins[: len(op.outputs)]],
    doc="Copies its inputs.",
)
declare("Free", inputs=(1, MANY), outputs=(1, MANY), inplace="any", effects=True, doc="Empties its output blobs.")
declare("Fail", **ANY, doc="An error.")
declare(
    "ThrowException",
    inputs=0,
    outputs=0,
    args=[Arg("message", "string", "Exception from ThrowExceptionOp", "The error's message.")],
    effects=True,
    doc="An error.",
)
declare(
    "GetAllBlobNames",
    inputs=0,
    outputs=1,
    args=[Arg("include_shared", "bool", True, "Those of the workspace around too.")],
    effects=True,
    doc="Names of all blobs, a tensor of strings.",
)
declare("Barrier", inputs=(0, MANY), outputs=0, effects=True, doc="Waits for nobody: there is one process.")
