"""Predictors in one file: a MetaNetDef and the parameters, as Save writes them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from serverquant import core, proto, workspace
from serverquant.compat.caffe2.python.predictor import predictor_py_utils as utils
from serverquant.core.net import Net
from serverquant.core.plan import Plan

_NAMES = proto.PredictorConsts()


@dataclass
class PredictorExportMeta:
    """What belongs to a predictor. Blobs may be references or names; parameters are neither inputs nor outputs.

    shapes: of inputs and outputs, by name. extra_init_net runs when a thread begins, global_init_net when
    parameters are loaded. name: where a file has several.
    """

    predict_net: Any
    parameters: Any
    inputs: Any
    outputs: Any
    shapes: dict[str, Any] = field(default_factory=dict)
    name: str = ""
    extra_init_net: Any = None
    global_init_net: Any = None
    net_type: str | None = None
    num_workers: int | None = None
    trainer_prefix: str | None = None

    def __post_init__(self) -> None:
        if isinstance(self.predict_net, (Net, Plan)):
            self.predict_net = self.predict_net.Proto()
        self.inputs, self.outputs = [str(b) for b in self.inputs], [str(b) for b in self.outputs]
        self.parameters, self.shapes = [str(b) for b in self.parameters], self.shapes or {}
        assert len(set(self.inputs)) == len(self.inputs), "an input is there twice"
        for what, names in (("input", self.inputs), ("output", self.outputs)):
            both = set(self.parameters) & set(names)
            assert not both, f"parameters and {what}s exclude each other, but both have {sorted(both)}"

    def inputs_name(self) -> str:
        return utils.get_comp_name(_NAMES.INPUTS_BLOB_TYPE, self.name)

    def outputs_name(self) -> str:
        return utils.get_comp_name(_NAMES.OUTPUTS_BLOB_TYPE, self.name)

    def parameters_name(self) -> str:
        return utils.get_comp_name(_NAMES.PARAMETERS_BLOB_TYPE, self.name)

    def global_init_name(self) -> str:
        return utils.get_comp_name(_NAMES.GLOBAL_INIT_NET_TYPE, self.name)

    def predict_init_name(self) -> str:
        return utils.get_comp_name(_NAMES.PREDICT_INIT_NET_TYPE, self.name)

    def predict_net_name(self) -> str:
        return utils.get_comp_name(_NAMES.PREDICT_NET_TYPE, self.name)


def _global_init_net(meta: PredictorExportMeta) -> Any:
    net = Net("global-init")
    net.Load([core.BlobReference(_NAMES.PREDICTOR_DBREADER)], [core.BlobReference(p) for p in meta.parameters])
    net.Proto().external_output.extend(meta.parameters)
    if meta.global_init_net:
        net.AppendNet(meta.global_init_net)
    utils.AddModelIdArg(meta, net.Proto())
    return net.Proto()


def get_meta_net_def(predictor_export_meta: PredictorExportMeta, ws: Any = None, db_type: str | None = None) -> Any:
    """The MetaNetDef: three nets, and the names of parameters, inputs and outputs."""
    meta, message = predictor_export_meta, proto.MetaNetDef()
    utils.AddNet(message, meta.predict_init_name(), utils.create_predict_init_net(ws or workspace.current(), meta))
    utils.AddNet(message, meta.global_init_name(), _global_init_net(meta))
    utils.AddNet(message, meta.predict_net_name(), utils.create_predict_net(meta))
    utils.AddBlobs(message, meta.parameters_name(), meta.parameters)
    utils.AddBlobs(message, meta.inputs_name(), meta.inputs)
    utils.AddBlobs(message, meta.outputs_name(), meta.outputs)
    return message


def save_to_db(
    db_type: str,
    db_destination: str,
    predictor_export_meta: PredictorExportMeta,
    use_ideep: bool = False,
    **kwargs: Any,
) -> None:
    """Write the MetaNetDef and the parameters, which are in the current workspace, to a file."""
    message = get_meta_net_def(predictor_export_meta, db_type=db_type)
    workspace.FeedBlob(_NAMES.META_NET_DEF, message.SerializeToString())
    blobs = [core.BlobReference(b) for b in (_NAMES.META_NET_DEF, *predictor_export_meta.parameters)]
    workspace.RunOperatorOnce(
        core.CreateOperator("Save", blobs, [], absolute_path=True, db=db_destination, db_type=db_type, **kwargs)
    )


def load_from_db(filename: str, db_type: str, device_option: Any = None) -> Any:
    """The MetaNetDef of a file; its global init net, once run, loads the parameters."""
    reader = core.BlobReference(_NAMES.PREDICTOR_DBREADER)
    meta_blob = core.BlobReference(_NAMES.META_NET_DEF)
    workspace.RunOperatorOnce(core.CreateOperator("CreateDB", [], [reader], db=filename, db_type=db_type))
    workspace.RunOperatorOnce(core.CreateOperator("Load", [reader], [meta_blob]))
    message = proto.MetaNetDef.FromString(workspace.FetchBlob(meta_blob))
    device_option = device_option if device_option is not None else core.CurrentDeviceScope()
    if device_option is not None:
        for entry in message.nets:
            for op in entry.value.op:
                op.device_option.CopyFrom(device_option)
    return message


def prepare_prediction_net(filename: str, db_type: str, device_option: Any = None) -> Net:
    """Load a file's parameters into the current workspace and create its predict net there."""
    message = load_from_db(filename, db_type, device_option)
    for key in (_NAMES.GLOBAL_INIT_NET_TYPE, _NAMES.PREDICT_INIT_NET_TYPE):
        workspace.RunNetOnce(utils.GetNet(message, key))
    net = Net(utils.GetNet(message, _NAMES.PREDICT_NET_TYPE))
    workspace.CreateNet(net)
    return net
