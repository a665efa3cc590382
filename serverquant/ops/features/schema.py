"""Schemas and shape rules of the operators on features."""

from __future__ import annotations

from typing import Any

from serverquant.blobs.spec import Spec
from serverquant.ops.lengths.schema import expect_vector
from serverquant.runtime.registry import declare
from serverquant.runtime.schema import MANY, Arg, Dims

# ---- merged features -----------------------------------------------------------------------------------------------

FEATURE_IDS = Arg("feature_ids", "ints", [], "the key of each feature")
PRESENCE = "in_presence: bool, whether an example has the feature"
KEYS_OUT = ["out_lengths: int32, features of each example", "out_keys: int64, their ids"]
# What a feature of an example is -> its inputs, and what comes out of them behind the keys.
KINDS: dict[str, tuple[list[str], list[str]]] = {
    "Scalar": (["in_values: an element"], ["out_values: an element for each key"]),
    "List": (
        ["in_lengths: int32, elements of the list", "in_values: the elements of all lists"],
        ["out_values_lengths: int32, elements of each list", "out_values_values: the elements"],
    ),
    "Map": (
        ["in_lengths: int32, entries of the map", "in_keys: keys of all maps", "in_values: values of all maps"],
        ["out_values_lengths: int32, entries of each map", "out_values_keys: keys", "out_values_values: values"],
    ),
}
for _kind, (_in, _out) in KINDS.items():
    declare(
        f"MergeSingle{_kind}FeatureTensors",
        inputs=(len(_in) + 1, MANY),
        outputs=2 + len(_out),
        args=[FEATURE_IDS],
        doc=f"Features that are a {_kind.lower()} each, merged: for each example the ids of those it has, and these.",
        in_doc=[*(f"{text} of the examples that have it" if "all" in text else text for text in _in), PRESENCE],
        out_doc=[*KEYS_OUT, *_out],
    )
    _values = _in if _kind == "Scalar" else [_in[0].replace("in_lengths", "in_values_lengths"), *_in[1:]]
    declare(
        f"MergeMulti{_kind}FeatureTensors",
        inputs=(2 + len(_in), MANY),
        outputs=2 + len(_out),
        doc=f"Maps of features that are a {_kind.lower()} each, merged into one map for each example.",
        in_doc=["in_lengths: int32, features of each example", "in_keys: int64, their ids", *_values],
        out_doc=[*KEYS_OUT, *_out],
    )


def dense_dims(op: Any, ins: list[Spec]) -> None:
    if ins[0].ndim != 2:
        raise op.shape_error(ins, 0, "2 dimensions, examples x features")
    if ins[1].dims != ins[0].dims:
        raise op.shape_error(ins, 1, f"the shape of {op.inputs[0]}, {ins[0].dims}")


declare(
    "MergeDenseFeatureTensors",
    inputs=2,
    outputs=3,
    args=[FEATURE_IDS],
    shape=dense_dims,
    doc="A table of features, as a map for each example.",
    in_doc=["in1: examples x features", "in1_presence: bool, of the same shape"],
    out_doc=[*KEYS_OUT, "out_values: an element for each key"],
)
declare(
    "MergeIdLists",
    inputs=(2, MANY),
    outputs=2,
    doc="Lists of ids merged: for each example all its ids, each once, in increasing order.",
    in_doc=["lengths_0: int32, ids of each example", "values_0: int32 or int64 ids; more pairs may follow"],
    out_doc=["merged_lengths: int32", "merged_values: ids"],
)

# ---- buckets -------------------------------------------------------------------------------------------------------


def bucketize_dims(op: Any, ins: list[Spec]) -> list[Dims]:
    if ins[0].ndim < 1:
        raise op.shape_error(ins, 0, "1 or more dimensions")
    return [ins[0].dims]


def batch_dims(op: Any, ins: list[Spec]) -> list[Dims]:
    if ins[0].ndim != 2:
        raise op.shape_error(ins, 0, "2 dimensions, examples x features")
    for i in range(1, 4):
        expect_vector(op, ins, i)
    if ins[3].dims != ins[1].dims:
        raise op.shape_error(ins, 3, f"{ins[1].dims[0]} lengths, one for each index")
    return [(ins[0].dims[0], ins[1].dims[0])]


declare(
    "Bucketize",
    inputs=1,
    args=[Arg("boundaries", "floats", [], "upper ends of the buckets, in increasing order")],
    shape=bucketize_dims,
    doc="The number of boundaries that are less than each element.",
    in_doc=["data: float"],
    out_doc=["output: int32, as data"],
)
declare(
    "BatchBucketize",
    inputs=4,
    shape=batch_dims,
    doc="For each index a column: the place of the first boundary that a feature does not exceed.",
    in_doc=[
        "float_features: float, examples x features",
        "indices: int32, columns of float_features",
        "boundaries: float, those of each index one behind the other",
        "lengths: int32, boundaries of each index",
    ],
    out_doc=["bucketized_feat: int32, examples x indices"],
)


def rows_dims(op: Any, ins: list[Spec]) -> list[Dims]:
    if ins[0].ndim < 1:
        raise op.shape_error(ins, 0, "1 or more dimensions")
    return [ins[0].dims[:1]]


declare(
    "NGramFromCategorical",
    inputs=1,
    args=[
        Arg("col_ids", "ints", [], "columns that are combined"),
        Arg("categorical_limits", "ints", [], "how many values each column may have"),
        Arg("vals", "ints", [], "these values, column by column"),
    ],
    shape=rows_dims,
    doc="One number for several columns: the places of their values among vals, as digits. Others count as place 0.",
    in_doc=["features: float, n x columns"],
    out_doc=["output: int64, n"],
)


def normalize_dims(op: Any, ins: list[Spec]) -> list[Dims]:
    if ins[0].ndim < 1:
        raise op.shape_error(ins, 0, "1 or more dimensions")
    return [ins[0].dims]


for _type, _name in (("SparseNormalize", "float"), ("Float16SparseNormalize", "float16")):
    declare(
        _type,
        inputs=(2, 3),
        inplace=[(0, 0)],
        args=[
            Arg("use_max_norm", "bool", True, "only rows of a larger norm are scaled"),
            Arg("norm", "float", 1.0, "the norm that comes out"),
        ],
        shape=normalize_dims,
        doc="Scales the rows that indices name to one Euclidean norm.",
        in_doc=[f"param: {_name}, n x ...", "indices: int32 or int64", "grad: not used"],
        out_doc=["output_param: as param"],
    )
