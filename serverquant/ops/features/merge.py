"""Features of several inputs merged example by example."""

from __future__ import annotations

from typing import Any

import numpy as np

from serverquant._base.errors import ArgumentError, NetError, ShapeError
from serverquant.blobs import dtypes
from serverquant.blobs.spec import Spec
from serverquant.ops._types import NUMBERS, expect_plain
from serverquant.ops.lengths.check import checked, places, starts
from serverquant.runtime.operator import PythonOperator
from serverquant.runtime.registry import register

VALUES = (*NUMBERS, "bool", "string")


class Merge(PythonOperator):
    """Inputs come in groups, one for each feature (or map of features). kinds: what the inputs of a group hold; "value"
    and "key" are of any type, the same in all groups."""

    kinds: tuple[str, ...] = ()

    def setup(self) -> None:
        n = len(self.kinds)
        if len(self.inputs) % n:
            raise NetError(f"{self.type} takes a multiple of {n} inputs, not {len(self.inputs)}")
        self.groups = len(self.inputs) // n

    def check_types(self, ins: list[Spec]) -> None:
        n = len(self.kinds)
        for i in range(len(ins)):
            expect_plain(self, ins, i)
            kind = self.kinds[i % n]
            if kind not in ("value", "key"):
                self.expect(ins, i, kind)
            else:
                self.expect(ins, i, *(VALUES if i < n else [dtypes.name(ins[i % n].dtype)]))

    def grouped(self, inputs: list[Any]) -> list[list[np.ndarray]]:
        """Flat inputs, group by group."""
        n = len(self.kinds)
        return [[x.ravel() for x in inputs[i : i + n]] for i in range(0, len(inputs), n)]


def interleave(counts: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Group g gives counts[g][e] entries to example e. Entries of all groups, one behind the other, in the order by
    example, then group: which entry comes where; and how many each example has."""
    table = np.stack(counts, 1)
    group_start = np.cumsum([0, *table.sum(0)[:-1]])
    first = np.stack([starts(c) for c in counts], 1) + group_start
    return places(first.ravel(), table.ravel()), table.sum(1)


def take_ranges(values: list[np.ndarray], lengths: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Ranges of all groups' values, one behind the other, in another order."""
    joined = np.concatenate(values)
    return joined[places(starts(lengths)[order], lengths[order])]


class Single(Merge):
    """A feature a group, the last input of which says what examples have it."""

    def setup(self) -> None:
        super().setup()
        if len(self.args.feature_ids) < self.groups:
            raise ArgumentError(f"argument feature_ids has {len(self.args.feature_ids)} ids for {self.groups} features")

    def present(self, groups: list[list[np.ndarray]]) -> list[np.ndarray]:
        """Examples that have each feature."""
        examples = groups[0][0].size
        for g, group in enumerate(groups):
            if group[0].size != examples or group[-1].size != examples:
                name = self.inputs[g * len(self.kinds)]
                raise ShapeError(f'feature {g} ("{name}") is not of {examples} examples, as the first one is')
        return [np.flatnonzero(group[-1]) for group in groups]

    def keys(self, present: list[np.ndarray], examples: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Order of the features by example; how many each has; their ids."""
        order, sizes = interleave([np.bincount(p, minlength=examples) for p in present])
        ids = np.repeat(np.array(self.args.feature_ids[: self.groups], np.int64), [p.size for p in present])
        return order, sizes.astype(np.int32), ids[order]


@register("MergeSingleScalarFeatureTensors")
class SingleScalar(Single):
    """An element an example."""

    kinds = ("value", "bool")

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        groups = self.grouped(inputs)
        present = self.present(groups)
        order, outputs[0], outputs[1] = self.keys(present, groups[0][0].size)
        outputs[2] = np.concatenate([group[0][p] for group, p in zip(groups, present)])[order]


@register("MergeSingleListFeatureTensors")
class SingleList(Single):
    """A list an example."""

    kinds: tuple[str, ...] = ("int32", "value", "bool")

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        groups = self.grouped(inputs)
        present = self.present(groups)
        order, outputs[0], outputs[1] = self.keys(present, groups[0][0].size)
        lengths = [checked(group[0][p], most=group[1].size) for group, p in zip(groups, present)]
        joined = np.concatenate(lengths)
        outputs[2] = joined[order].astype(np.int32)
        for column in range(1, len(self.kinds) - 1):
            values = [group[column][: own.sum()] for group, own in zip(groups, lengths)]
            outputs[2 + column] = take_ranges(values, joined, order)


@register("MergeSingleMapFeatureTensors")
class SingleMap(SingleList):
    """A map an example."""

    kinds = ("int32", "key", "value", "bool")


class Multi(Merge):
    """A map of features a group."""

    def counts(self, groups: list[list[np.ndarray]]) -> list[np.ndarray]:
        """Features of each example, group by group."""
        examples = groups[0][0].size
        for g, group in enumerate(groups):
            if group[0].size != examples:
                raise ShapeError(f"group {g} has {group[0].size} examples, not {examples} as the first")
        return [checked(group[0], group[1].size) for group in groups]


@register("MergeMultiScalarFeatureTensors")
class MultiScalar(Multi):
    """Elements."""

    kinds = ("int32", "int64", "value")

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        groups = self.grouped(inputs)
        order, sizes = interleave(self.counts(groups))
        outputs[0] = sizes.astype(np.int32)
        for g, group in enumerate(groups):
            if group[2].size != group[1].size:
                raise ShapeError(f"group {g} has {group[2].size} values for {group[1].size} keys")
        outputs[1] = np.concatenate([group[1] for group in groups])[order]
        outputs[2] = np.concatenate([group[2] for group in groups])[order]


@register("MergeMultiListFeatureTensors")
class MultiList(Multi):
    """Lists."""

    kinds: tuple[str, ...] = ("int32", "int64", "int32", "value")

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        groups = self.grouped(inputs)
        order, sizes = interleave(self.counts(groups))
        outputs[0] = sizes.astype(np.int32)
        for g, group in enumerate(groups):
            if group[2].size != group[1].size:
                raise ShapeError(f"group {g} has {group[2].size} lengths for {group[1].size} keys")
        lengths = np.concatenate([checked(group[2], group[3].size) for group in groups])
        outputs[1] = np.concatenate([group[1] for group in groups])[order]
        outputs[2] = lengths[order].astype(np.int32)
        for column in range(3, len(self.kinds)):
            outputs[column] = take_ranges([group[column] for group in groups], lengths, order)


@register("MergeMultiMapFeatureTensors")
class MultiMap(MultiList):
    """Maps."""

    kinds = ("int32", "int64", "int32", "key", "value")


@register("MergeDenseFeatureTensors")
class Dense(PythonOperator):
    """A table of features."""

    def check_types(self, ins: list[Spec]) -> None:
        self.expect(ins, 0, *VALUES)
        self.expect(ins, 1, "bool")

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        values, present = inputs
        ids = np.array(self.args.feature_ids, np.int64)
        if ids.size < values.shape[1]:
            raise ArgumentError(f"argument feature_ids has {ids.size} ids for {values.shape[1]} features")
        outputs[0] = present.sum(1).astype(np.int32)
        outputs[1] = ids[np.nonzero(present)[1]]
        outputs[2] = values[present]


@register("MergeIdLists")
class MergeIdLists(Merge):
    """All ids of an example, each once."""

    kinds = ("int32", "value")

    def check_types(self, ins: list[Spec]) -> None:
        super().check_types(ins)
        self.expect(ins, 1, "int32", "int64")

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        groups = self.grouped(inputs)
        examples = groups[0][0].size
        owners = []
        for g, (lengths, values) in enumerate(groups):
            if lengths.size != examples:
                raise ShapeError(f"list {g} has {lengths.size} examples, not {examples} as the first")
            owners.append(np.repeat(np.arange(examples), checked(lengths, values.size)))
        owner, ids = np.concatenate(owners), np.concatenate([values for _, values in groups])
        order = np.lexsort((ids, owner))
        owner, ids = owner[order], ids[order]
        first = np.ones(ids.size, bool)
        first[1:] = (ids[1:] != ids[:-1]) | (owner[1:] != owner[:-1])
        outputs[0] = np.bincount(owner[first], minlength=examples).astype(np.int32)
        outputs[1] = ids[first]
