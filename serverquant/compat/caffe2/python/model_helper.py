"""A model under construction: a net, and the net that makes its parameters."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from serverquant import core
from serverquant.compat.caffe2.python.modeling.parameter_info import ParameterTags
from serverquant.core.net import Net


class ModelHelper:
    """A net with its parameters. Operators are methods, as of a net: `model.Relu("x", "y")`; brew has layers."""

    def __init__(
        self,
        name: str | None = None,
        init_params: bool = True,
        allow_not_known_ops: bool = True,
        skip_sparse_optim: bool = False,
        param_model: ModelHelper | None = None,
        arg_scope: dict[str, Any] | None = None,
    ):
        self.name = name or "model"
        self.net = Net(self.name)
        shared = param_model
        self.param_init_net: Net = shared.param_init_net if shared else Net(f"{self.name}_init")
        self.param_to_grad: dict[Any, Any] = shared.param_to_grad if shared else {}
        self.params: list[Any] = shared.params if shared else []
        self._parameters_info: dict[str, Any] = shared._parameters_info if shared else {}
        self._computed_params: list[Any] = shared._computed_params if shared else []
        self.weights: list[Any] = []
        self.biases: list[Any] = []
        self.init_params, self.allow_not_known_ops = init_params, allow_not_known_ops
        self.gradient_ops_added = False
        self._arg_scope = {"order": "NCHW", "use_cudnn": True, "cudnn_exhaustive_search": False, **(arg_scope or {})}

    @property
    def arg_scope(self) -> dict[str, Any]:
        """Arguments that brew's layers get unless told otherwise."""
        return self._arg_scope

    def get_name(self) -> str:
        return self.name

    def Proto(self) -> Any:
        return self.net.Proto()

    def InitProto(self) -> Any:
        return self.param_init_net.Proto()

    def RunAllOnGPU(self, *args: Any, **kwargs: Any) -> None:
        self.param_init_net.RunAllOnGPU(*args, **kwargs)
        self.net.RunAllOnGPU(*args, **kwargs)

    # ---- parameters -----------------------------------------------------------------------------------------------

    def create_param(self, param_name: Any, shape: Any, initializer: Any, tags: Any = None) -> Any:
        """A parameter's blob. A plain name gets the current scope; one that exists already is shared."""
        name = str(param_name) if isinstance(param_name, core.BlobReference) else core.ScopedName(param_name)
        found = self._parameters_info.get(name)
        if found is not None:
            if list(found.shape) != list(shape):
                raise ValueError(f"parameter {name} has shape {found.shape} already, not {shape}")
            return found.blob
        made = initializer.create_param(core.BlobReference(name), self.param_init_net, shape)
        self._parameters_info[name] = made
        self.AddParameter(made.blob, tags)
        return made.blob

    def get_param_info(self, param: Any) -> Any:
        return self._parameters_info.get(str(param))

    def AddParameter(self, param: Any, tags: Any = None) -> None:
        """Make a blob one of the model's parameters."""
        tags = [tags] if isinstance(tags, str) else tags or []
        (self._computed_params if ParameterTags.COMPUTED_PARAM in tags else self.params).append(param)
        if ParameterTags.WEIGHT in tags:
            self.weights.append(param)
        if ParameterTags.BIAS in tags:
            self.biases.append(param)

    @staticmethod
    def _within(params: list[Any], scope: str | None) -> list[Any]:
        scope = core.CurrentNameScope() if scope is None else scope
        if scope and not scope.endswith("/"):
            scope += "/"
        return [param for param in params if not scope or str(param).startswith(scope)]

    def GetParams(self, namescope: str | None = None, top_scope: bool = False) -> list[Any]:
        """Parameters in a scope: the current one if None, all of "" ."""
        return self._within(self.params, namescope)

    def GetComputedParams(self, namescope: str | None = None) -> list[Any]:
        """Those that come from the data, such as running means."""
        return self._within(self._computed_params, namescope)

    def GetAllParams(self, namescope: str | None = None) -> list[Any]:
        return self.GetParams(namescope) + self.GetComputedParams(namescope)

    def _Validate(self) -> list[Any]:
        """Parameters that are there twice."""
        seen: set[str] = set()
        twice: list[Any] = []
        for param in self.params:
            if str(param) in seen and param not in twice:
                twice.append(param)
            seen.add(str(param))
        return twice

    def Validate(self) -> None:
        """AssertionError if a parameter is there twice."""
        assert not self._Validate(), f"parameters are there twice: {self._Validate()}"

    # ---- operators ------------------------------------------------------------------------------------------------

    def __getattr__(self, op_type: str) -> Any:
        if op_type.startswith("__") or op_type == "net":
            raise AttributeError(op_type)
        return getattr(self.net, op_type)

    def __dir__(self) -> list[str]:
        return sorted({*object.__dir__(self), *dir(self.net)})

    # ---- one net of both ------------------------------------------------------------------------------------------

    def GetCompleteNet(self) -> Net:
        """The init net's operators, marked in their debug_info, and the net's."""
        whole = self.param_init_net.Clone(f"{self.name}_complete_net")
        for op in whole.Proto().op:
            op.debug_info += "/param_init_net"
        whole.AppendNet(self.net)
        if self.net.Proto().HasField("type"):
            whole.Proto().type = self.net.Proto().type
        return whole

    def ConstructInitTrainNetfromNet(self, net: Net) -> None:
        """Take apart what GetCompleteNet has put together."""
        marked = [op.debug_info.endswith("/param_init_net") for op in net.Proto().op]

        def part(name: str, wanted: bool) -> Net:
            kept = [i for i, is_init in enumerate(marked) if is_init == wanted]
            return net.Clone(f"{net.Name()}/{name}", op_id_mask=kept, update_external_list=True)

        self.param_init_net = part("generated_param_init_net", True)
        self.net = part("generated_net", False)


def _rename(names: Any, renames: dict[str, str]) -> None:
    names[:] = [renames.get(name, name) for name in names]


def _check_inference(op: Any) -> None:
    for argument in op.arg:
        if argument.name == "is_test" and argument.i == 0:
            raise ValueError(f"{op.type} has is_test=0: take the predictor from the model for testing")


def _rename_within(op: Any, step_nets: list[Any], renames: dict[str, str]) -> None:
    """Other names of blobs, also of those that step nets and their links are about."""
    _rename(op.input, renames)
    _rename(op.output, renames)
    for step_net in step_nets:
        for names in (step_net.external_input, step_net.external_output):
            _rename(names, renames)
        for step_op in step_net.op:
            _rename(step_op.input, renames)
            _rename(step_op.output, renames)
    for argument in op.arg if step_nets else ():
        if argument.name in ("link_external", "alias_dst"):
            argument.strings[:] = [renames.get(name.decode(), name.decode()).encode() for name in argument.strings]


def ExtractPredictorNet(
    net_proto: Any,
    input_blobs: Iterable[Any],
    output_blobs: Iterable[Any],
    device: Any = None,
    renames: dict[Any, Any] | None = None,
    disabled_inputs: Iterable[Any] | None = None,
) -> tuple[Net, list[str]]:
    """The part of a net that leads from inputs to outputs, and the parameters that it needs.

    renames: other names of blobs. disabled_inputs: what depends on them is left out. Operators before the first that
    reads an input and behind the last that makes an output are left out, as is what needs unknown blobs.
    """
    inputs, outputs = {str(b) for b in input_blobs}, {str(b) for b in output_blobs}
    renames = {str(old): str(new) for old, new in (renames or {}).items()}
    operators = list(net_proto.op)
    reading = [i for i, op in enumerate(operators) if inputs & set(op.input) and op.type != "StopGradient"]
    making = [i for i, op in enumerate(operators) if outputs & set(op.output)]
    if not reading or not making:
        raise ValueError(f"no operator {'reads ' + str(inputs) if not reading else 'makes ' + str(outputs)}")
    outside = set(net_proto.external_input)
    known = (outside | inputs) - {str(b) for b in disabled_inputs or ()}
    external_in, external_out = set(inputs), set(outputs)
    predict_net = Net(f"{net_proto.name}_predict")
    message = predict_net.Proto()
    for op in operators[reading[0] : making[-1] + 1]:
        if op.type == "StopGradient" or not known.issuperset(op.input):
            continue
        _check_inference(op)
        added = message.op.add()
        added.CopyFrom(op)
        inner = [a.n for a in added.arg if a.name == "step_net"]
        for step_net in inner:
            external_in.update(outside & set(step_net.external_input))
        known.update(op.output)
        external_in.update(outside & set(op.input))
        external_out.update(set(net_proto.external_output) & set(op.output))
        _rename_within(added, inner, renames)
        for argument in added.arg:
            if argument.name == "backward_step_net":
                argument.ClearField("n")
        for each in [added, *(step_op for step_net in inner for step_op in step_net.op)] if device is not None else ():
            each.device_option.device_type = device.device_type
            each.device_option.device_id = device.device_id
    message.external_input.extend(sorted(renames.get(b, b) for b in external_in))
    message.external_output.extend(sorted(renames.get(b, b) for b in external_out))
    exported = sorted(renames.get(b, b) for b in external_in - inputs)
    return predict_net, exported
