"""Nets under construction."""

from __future__ import annotations

import collections
import itertools
import os
import sys
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from serverquant import proto
from serverquant._base.errors import DuplicateError, MissingBlobError, NetError
from serverquant.blobs.store import blob_name, closest
from serverquant.core import clone
from serverquant.core.operators import CreateOperator, IsOperator
from serverquant.core.references import BlobReference, ScopedName, names_of, scoped
from serverquant.proto.args import make_argument
from serverquant.runtime import python_functions, registry

_HERE = os.path.dirname(os.path.abspath(__file__))
_CONSTANTS = {
    np.dtype(np.int32): "GivenTensorIntFill",
    np.dtype(np.int64): "GivenTensorInt64Fill",
    np.dtype(np.bool_): "GivenTensorBoolFill",
}


class Net:
    """A net under construction. `net.Type(inputs, outputs, **arguments)` adds an operator of that type.

    Inputs that nothing in the net makes become external inputs. Outputs may be left out (a name is chosen), be a
    number (so many names), or names; the result is one BlobReference, or a tuple of them. Names of nets are made
    unique in the process by a number behind them.

    Two hooks, for builders of nets: `prefixes` are functions that give a prefix for the names of new nets; those of
    `added` are called with every operator that a net gets by such a call.
    """

    _taken: set[str] = set()
    prefixes: list[Callable[[], str]] = []
    added: list[Callable[[Any], None]] = []

    def __init__(self, name_or_proto: Any, inplace: bool = False):
        self._stale = False
        self._attributes: dict[str, list[Any]] = collections.defaultdict(list)
        self._places: dict[int, str] = {}
        self._promised: set[str] = set()  # names that NextBlob has given away
        self._number = 0
        self._input_record: Any = None
        self._output_record: Any = None
        if isinstance(name_or_proto, (str, bytes)):
            self._net = proto.NetDef(name=self._unique(blob_name(name_or_proto)))
        elif inplace:
            self._net = name_or_proto
        else:
            from serverquant.proto.io import load_net

            self._net = proto.NetDef()
            self._net.CopyFrom(load_net(name_or_proto))
            self._net.name = self._unique(self._net.name)
        self._look_up()

    @classmethod
    def current_prefix(cls) -> str:
        return "/".join(prefix for prefix in (give() for give in cls.prefixes) if prefix)

    @classmethod
    def _unique(cls, name: str) -> str:
        base = "/".join(part for part in (cls.current_prefix(), name) if part)
        found, number = base, 0
        while found in cls._taken:
            number += 1
            found = f"{base}_{number}"
        cls._taken.add(found)
        return found

    # ---- what it is made of -----------------------------------------------------------------------------------------

    def Proto(self) -> Any:
        """The NetDef message itself; changes to it change the net."""
        self._stale = True
        return self._net

    def Name(self) -> str:
        return self._net.name

    def __str__(self) -> str:
        return self._net.name

    def __repr__(self) -> str:
        inputs = ", ".join(self._net.external_input) or "none"
        return f'<Net "{self.Name()}": {len(self._net.op)} operators, inputs {inputs}>'

    def _look_up(self) -> None:
        self._made = {name for op in self._net.op for name in op.output}
        self._given = set(self._net.external_input)
        self._stale = False

    def _current(self) -> None:
        """Whoever got hold of the message may have changed it."""
        if self._stale:
            self._look_up()

    def _CheckLookupTables(self) -> None:
        """AssertionError unless what is remembered of the message is true."""
        assert self._stale or self._made == {name for op in self._net.op for name in op.output}
        assert self._stale or self._given == set(self._net.external_input)

    # ---- names ------------------------------------------------------------------------------------------------------

    def NextName(self, prefix: Any = None, output_id: int | None = None) -> str:
        """A blob name that the net does not use yet, behind its own name. The same again until it is used."""
        if not prefix:
            self._number += 1
            return f"{self.Name()}_blob_{self._number - 1}"
        base = f"{self.Name()}/{blob_name(prefix)}" + ("" if output_id is None else f":{output_id}")
        name = base
        while self.BlobIsDefined(ScopedName(name)):
            self._number += 1
            name = f"{base}_{self._number}"
        return name

    def _free(self, base: str) -> str:
        """A name that neither the net nor anybody who asked here has."""
        numbers = itertools.count()
        name = base
        while name in self._promised or self.BlobIsDefined(name):
            name = f"{base}_auto_{next(numbers)}"
        self._promised.add(name)
        return name

    def NextBlob(self, prefix: Any = "unnamed") -> BlobReference:
        """A reference to a name that the net does not use yet."""
        return BlobReference(self._free(blob_name(prefix)), self)

    def NextScopedBlob(self, prefix: Any = "unnamed") -> BlobReference:
        """The same, with the current scope's prefix."""
        return BlobReference(self._free(ScopedName(prefix)), self)

    def BlobIsDefined(self, blob: Any) -> bool:
        """Whether the blob is an external input or an output of the net."""
        self._current()
        return blob_name(blob) in self._made or blob_name(blob) in self._given

    def UsesBlob(self, blob: Any) -> bool:
        """Whether an operator reads the blob, or it is an external input."""
        name = blob_name(blob)
        return name in self._net.external_input or any(name in op.input for op in self._net.op)

    def UsedBlobNames(self) -> set[str]:
        """Names of all blobs that it has to do with."""
        used = {*self._net.external_input, *self._net.external_output}
        return used.union(*({*op.input, *op.output} for op in self._net.op))

    def GetBlobRef(self, blob: Any) -> BlobReference:
        """A reference to a blob of the net; KeyError (a MissingBlobError) when there is none."""
        if not self.BlobIsDefined(blob):
            raise MissingBlobError(f'net "{self}" has no blob "{blob_name(blob)}"')
        return BlobReference(blob, self)

    # ---- inputs and outputs -----------------------------------------------------------------------------------------

    def AddExternalInput(self, *blobs: Any) -> Any:
        """Declare blobs that come from outside. Returns a reference, or a list of them."""
        self._current()
        if not blobs:
            raise NetError("AddExternalInput needs a blob")
        for blob in blobs:
            if blob_name(blob) in self._given:
                raise DuplicateError(f'"{blob_name(blob)}" is an external input of net "{self.Name()}" already')
            self._net.external_input.append(blob_name(blob))
            self._given.add(blob_name(blob))
        references = [BlobReference(blob, self) for blob in blobs]
        return references[0] if len(references) == 1 else references

    def AddExternalInputs(self, *blobs: Any) -> list[BlobReference]:
        return [self.AddExternalInput(blob) for blob in blobs]

    def AddScopedExternalInputs(self, *blobs: Any) -> Any:
        """AddExternalInput with the current scope's prefix."""
        return self.AddExternalInput(*scoped(blobs, self))

    def AddExternalOutput(self, *blobs: Any) -> None:
        """Declare blobs that are results; each must be made by the net or be an input of it."""
        for blob in blobs:
            name = blob_name(blob)
            if not self.BlobIsDefined(name):
                raise DuplicateError(f'"{name}" is not made by net "{self.Name()}"{closest(name, sorted(self._made))}')
            self._net.external_output.append(name)

    def AddExternalOutputs(self, *blobs: Any) -> None:
        self.AddExternalOutput(*blobs)

    def AddScopedExternalOutputs(self, *blobs: Any) -> None:
        self.AddExternalOutput(*scoped(blobs, self))

    @property
    def external_inputs(self) -> list[BlobReference]:
        return [BlobReference(name) for name in self._net.external_input]

    @property
    def external_outputs(self) -> list[BlobReference]:
        return [BlobReference(name) for name in self._net.external_output]

    def is_external_input(self, blob: Any) -> bool:
        self._current()
        return blob_name(blob) in self._given

    # ---- records: inputs and outputs with a structure ---------------------------------------------------------------

    def set_input_record(self, record: Any) -> Any:
        """Make the fields of a record external inputs; a record without blobs gets new ones. Returns the record."""
        if not record.has_blobs():
            record = record.with_blobs(self.NextScopedBlob)
        for blob in record.field_blobs():
            if not self.is_external_input(blob):
                self.AddExternalInput(blob)
        self._input_record = record
        return record

    def set_output_record(self, record: Any) -> None:
        """Make the blobs of a record external outputs."""
        for blob in record.field_blobs():
            if blob_name(blob) not in self._net.external_output:
                self.AddExternalOutput(blob)
        self._output_record = record

    def input_record(self) -> Any:
        return self._input_record

    def output_record(self) -> Any:
        return self._output_record

    # ---- copies -----------------------------------------------------------------------------------------------------

    def Clone(
        self,
        name: str,
        blob_remap: dict[Any, Any] | None = None,
        op_id_mask: Iterable[int] | None = None,
        remap_funcs: dict[str, clone.Remap] | None = None,
        keep_schema: bool = True,
        update_external_list: bool = False,
    ) -> Net:
        """A copy under another name, with blobs renamed as `blob_remap` says, of the operators in `op_id_mask` alone if
        given. With `update_external_list` inputs and outputs are those of the operators that are left.
        `remap_funcs`: by type, who renames blobs inside arguments."""
        renamed = {blob_name(k): blob_name(v) for k, v in (blob_remap or {}).items()}
        message = clone.renamed_net(self._net, name, renamed, op_id_mask, remap_funcs or {})
        if update_external_list:
            clone.list_external(message)
        copy = Net(message)
        copy._attributes.update(self._attributes)
        if keep_schema:
            copy._input_record = clone.renamed_record(self._input_record, renamed, copy)
            copy._output_record = clone.renamed_record(self._output_record, renamed, copy)
        return copy

    def ClonePartial(
        self, name: str, inputs: Any, outputs: Any, remap_funcs: dict[str, clone.Remap] | None = None
    ) -> tuple[Net, list[BlobReference]]:
        """A net of the operators between `inputs` and `outputs` (its blobs get `name/` in front), and its outputs.
        A dict of inputs renames them. DuplicateError unless what it needs from outside is among them."""
        return clone.partial(self, name, inputs, outputs, remap_funcs)

    def AppendNet(self, net: Net, device_option: Any = None) -> Net:
        """Add another net's operators behind this one's; what this net makes is no external input of the result."""
        other = net._net
        self._current()
        for name in other.external_input:
            if not self.BlobIsDefined(name):
                self._net.external_input.append(name)
                self._given.add(name)
        for op in other.op:
            added = self._net.op.add()
            added.CopyFrom(op)
            if device_option is not None:
                added.device_option.ParseFromString(device_option.SerializeToString())
        self._made.update(name for op in other.op for name in op.output)
        self._net.external_output.extend(n for n in other.external_output if n not in self._net.external_output)
        for key, values in net._attributes.items():
            self._attributes[key].extend(values)
        return self

    # ---- attributes, arguments, seeds -------------------------------------------------------------------------------

    def add_attribute(self, name: str, value: Any) -> None:
        """Keep an object with the net, for whoever builds plans of it."""
        self._attributes[name].append(value)

    def get_attributes(self, name: str) -> list[Any]:
        return self._attributes.get(name, [])

    def AddArgument(self, name: str, value: Any) -> None:
        """An argument of the net itself."""
        self._net.arg.append(make_argument(name, value))

    def set_rand_seed(self, seed: int = 100, sequence_seed: bool = True, seed_on_op_def: bool = False) -> None:
        """Give every operator a random seed: seed, seed + 1, ... with `sequence_seed`."""
        if sequence_seed and seed_on_op_def:
            raise NetError("sequence_seed and seed_on_op_def exclude each other")
        for index, op in enumerate(self._net.op):
            own = hash(str(op) + str(seed)) % (2**32 - 1) if seed_on_op_def else seed + index * sequence_seed
            op.device_option.random_seed = own

    def LogInfo(self, *parts: Any) -> None:
        """Print blobs, and texts as they are, when the net runs."""
        for part in parts:
            if not isinstance(part, BlobReference):
                part = self.GivenTensorStringFill([], self.NextBlob("log"), shape=[], values=[part])
            self.Print(part, [])

    # ---- operators --------------------------------------------------------------------------------------------------

    def __getattr__(self, op_type: str) -> Callable[..., Any]:
        if op_type.startswith("_"):
            raise AttributeError(op_type)
        if op_type == "AddGradientOperators":
            raise AttributeError("there are no gradients here: serverquant runs nets, it does not train them")
        if not IsOperator(op_type):
            near = closest(op_type, registry.types())
            raise AttributeError(f"a net has no {op_type}, and no operator is called so{near}")
        return lambda *args, **kwargs: self._add(op_type, *args, **kwargs)

    def __dir__(self) -> list[str]:
        return sorted({*object.__dir__(self), *registry.types()})

    def _add(self, op_type: str, inputs: Any = (), outputs: Any = None, **kwargs: Any) -> Any:
        made = scoped(self._output_names(op_type, outputs), self)
        read = scoped(inputs)
        for blob in read:
            if not self.BlobIsDefined(blob):
                self.AddExternalInput(blob)
        operator = CreateOperator(op_type, read, made, **kwargs)
        self._places[len(self._net.op)] = _caller()
        self._net.op.append(operator)
        self._made.update(operator.output)
        for hook in self.added:
            hook(operator)
        references = [BlobReference(name, self) for name in operator.output]
        if not references:
            return None
        return references[0] if len(references) == 1 else tuple(references)

    def _output_names(self, op_type: str, outputs: Any) -> list[Any]:
        if outputs is None:
            return [self.NextName(op_type)]
        if isinstance(outputs, int):
            return [self.NextName(op_type, i) for i in range(outputs)]
        return names_of(outputs)

    def Const(self, array: Any, blob_out: Any = None, dtype: Any = None) -> BlobReference:
        """An operator that makes a constant; a bool becomes a scalar."""
        if isinstance(array, bool):
            return self.ConstantFill([], blob_out or 1, dtype=proto.TensorProto.BOOL, value=array)
        values = np.array(array, dtype)
        fill = (
            "GivenTensorStringFill" if values.dtype.kind in "SUO" else _CONSTANTS.get(values.dtype, "GivenTensorFill")
        )
        return self._add(fill, [], blob_out or 1, shape=values.shape, values=values.flatten().tolist())

    def Python(
        self,
        f: Any,
        grad_f: Any = None,
        python_func_type: Any = None,
        pass_workspace: bool = False,
        grad_output_indices: Any = None,
        grad_input_indices: Any = None,
    ) -> Callable[..., Any]:
        """`net.Python(f)(inputs, outputs)` adds an operator that calls `f(inputs, outputs)` with lists of tensors.

        f: a function, or (builder, args, kwargs): then the net carries the builder itself, pickled, and every net made
        of it calls it once for a function of its own. With `pass_workspace` the function gets the workspace as a third
        argument. What has to do with gradients is taken and not used.
        """
        if isinstance(f, tuple):
            carried: dict[str, Any] = {
                "pickled_builder": python_functions.pickled(f),
                "pass_workspace": pass_workspace,
            }
        else:
            carried = {"token": python_functions.add(f, pass_workspace, python_func_type)}
        indices = {"grad_output_indices": grad_output_indices or [], "grad_input_indices": grad_input_indices or []}
        carried.update(indices)
        return lambda *args, **kwargs: self._add("Python", *args, **{**carried, **kwargs})

    def insert_op_at_idx(self, op: Any, index: int) -> None:
        """Put an operator before the one at `index`."""
        operators = [*self._net.op[:index], op, *self._net.op[index:]]
        self._replace_operators(operators)

    def extend_ops(self, operators: Iterable[Any]) -> None:
        """Add operators behind the others."""
        self._net.op.extend(operators)
        self._stale = True

    def _replace_operators(self, operators: list[Any]) -> None:
        kept = [proto.OperatorDef.FromString(op.SerializeToString()) for op in operators]
        del self._net.op[:]
        self._net.op.extend(kept)
        self._stale = True

    def reroute_tensor(self, tensor: Any, new_producer: Any, can_modify: Iterable[Any] | None = None) -> int:
        """Put the operator `new_producer`, which reads `tensor`, behind whatever makes its inputs. External outputs and
        the operators of `can_modify` then take its output 0 in the tensor's place. Returns how many changed."""
        return clone.reroute(self, blob_name(tensor), new_producer, can_modify or ())

    def PopulateProtoWithFileName(self) -> None:
        """Name every operator without a name after the place that made it: file:line:function."""
        for index, op in enumerate(self._net.op):
            if not op.name and index in self._places:
                op.name = self._places[index]

    def RunAllOnGPU(self, gpu_id: int = 0, use_cudnn: bool = False) -> None:
        """Write a GPU into all device options, for nets that are to run elsewhere."""
        self._net.device_option.device_type = proto.CUDA
        self._net.device_option.device_id = gpu_id
        if use_cudnn:
            for op in self._net.op:
                op.engine = "CUDNN"


def _caller() -> str:
    """file:line:function of whoever called this package."""
    frame = sys._getframe(2)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_HERE):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}:{frame.f_code.co_name}"


def get_net_name(net: Any) -> str:
    """The name of a net, a NetDef or a name."""
    if isinstance(net, (str, bytes)):
        return blob_name(net)
    return net.Name() if isinstance(net, Net) else net.name
