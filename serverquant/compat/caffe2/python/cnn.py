"""ModelHelper with layers as methods."""

from __future__ import annotations

from typing import Any

from serverquant.compat.caffe2.python import brew
from serverquant.compat.caffe2.python.model_helper import ModelHelper

_LAYERS = {
    "Conv": "conv",
    "ConvNd": "conv_nd",
    "ConvTranspose": "conv_transpose",
    "GroupConv": "group_conv",
    "FC": "fc",
    "PackedFC": "packed_fc",
    "Dropout": "dropout",
    "LRN": "lrn",
    "Softmax": "softmax",
    "SpatialBN": "spatial_bn",
    "SpatialGN": "spatial_gn",
    "InstanceNorm": "instance_norm",
    "Relu": "relu",
    "PRelu": "prelu",
    "Concat": "concat",
    "DepthConcat": "depth_concat",
    "Sum": "sum",
    "Transpose": "transpose",
    "Iter": "iter",
    "MaxPool": "max_pool",
    "MaxPoolWithIndex": "max_pool_with_index",
    "AveragePool": "average_pool",
}


class CNNModelHelper(ModelHelper):
    """`model.FC(x, y, dim_in, dim_out)` is `brew.fc(model, x, y, dim_in, dim_out)`."""

    def __init__(
        self,
        order: str = "NCHW",
        name: str | None = None,
        use_cudnn: bool = True,
        cudnn_exhaustive_search: bool = False,
        ws_nbytes_limit: int | None = None,
        init_params: bool = True,
        skip_sparse_optim: bool = False,
        param_model: Any = None,
    ):
        scope: dict[str, Any] = {
            "order": order,
            "use_cudnn": use_cudnn,
            "cudnn_exhaustive_search": cudnn_exhaustive_search,
        }
        if ws_nbytes_limit:
            scope["ws_nbytes_limit"] = ws_nbytes_limit
        super().__init__(name=name or "CNN", init_params=init_params, param_model=param_model, arg_scope=scope)
        self.order = order

    def __getattr__(self, name: str) -> Any:
        if name not in _LAYERS:
            return super().__getattr__(name)
        layer = getattr(brew, _LAYERS[name])
        return lambda *args, **kwargs: layer(self, *args, **kwargs)

    def PadImage(self, blob_in: Any, blob_out: Any, **kwargs: Any) -> Any:
        return self.net.PadImage(blob_in, blob_out, **kwargs)

    @property
    def XavierInit(self) -> Any:
        return "XavierFill", {}

    @property
    def MSRAInit(self) -> Any:
        return "MSRAFill", {}

    @property
    def ZeroInit(self) -> Any:
        return "ConstantFill", {}

    def ConstantInit(self, value: float) -> Any:
        return "ConstantFill", {"value": value}
