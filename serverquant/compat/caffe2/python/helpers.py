"""The layers that brew offers: operators with parameters of their own, and operators as they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from serverquant import core
from serverquant.compat.caffe2.python import control_ops_util
from serverquant.compat.caffe2.python.modeling import initializers
from serverquant.compat.caffe2.python.modeling.parameter_info import ParameterTags

ALL: dict[str, Callable[..., Any]] = {}
_WEIGHT: Any = ("XavierFill", {})
_ZERO: Any = ("ConstantFill", {})


def _layer(function: Callable[..., Any]) -> Callable[..., Any]:
    ALL[function.__name__] = function
    return function


def _param(model: Any, name: Any, shape: Any, init: Any, default: Any, tags: Any, kind: Any = None) -> Any:
    """A parameter of the model; where the model makes none itself, it comes from outside."""
    if not model.init_params:
        made: Any = initializers.ExternalInitializer()
    else:
        made = initializers.update_initializer(kind, init, default)
    return model.create_param(name, shape, made, tags)


def _constant(value: float) -> Any:
    return "ConstantFill", {"value": value}


def _engine(use_cudnn: bool, kwargs: dict[str, Any]) -> dict[str, Any]:
    return {**kwargs, "engine": "CUDNN"} if use_cudnn else kwargs


# ---- operators as they are -----------------------------------------------------------------------------------------


def _plain(name: str, op_type: str, more: tuple[str, ...] = (), order: bool = False, cudnn: bool = False) -> None:
    """A layer without parameters. more: patterns for names of outputs that are not returned."""

    def layer(model: Any, blob_in: Any, blob_out: Any = None, use_cudnn: bool = False, **kwargs: Any) -> Any:
        outputs = [blob_out, *(pattern.format(blob_out) for pattern in more)] if more else blob_out
        if not order:
            kwargs.pop("order", None) if op_type not in _ORDERED else None
        made = getattr(model.net, op_type)(blob_in, outputs, **(_engine(use_cudnn, kwargs) if cudnn else kwargs))
        return made[0] if more else made

    layer.__name__ = name
    ALL[name] = layer


_ORDERED = {"Concat", "Sum", "LRN"}
_plain("relu", "Relu", order=True, cudnn=True)
_plain("tanh", "Tanh", order=True, cudnn=True)
_plain("softmax", "Softmax", cudnn=True)
_plain("max_pool", "MaxPool", order=True, cudnn=True)
_plain("average_pool", "AveragePool", order=True, cudnn=True)
_plain("max_pool_with_index", "MaxPoolWithIndex", ("{}_index",), order=True)
_plain("lrn", "LRN", ("_{}_scale",), order=True)
_plain("transpose", "Transpose", cudnn=True)
_plain("sum", "Sum")
_plain("reduce_sum", "ReduceSum")
_plain("sub", "Sub")
_plain("mat_mul", "MatMul")
_plain("arg_min", "ArgMin")
_plain("batch_mat_mul", "BatchMatMul")
_plain("fused_8bit_rowwise_quantized_to_float", "Fused8BitRowwiseQuantizedToFloat")
_plain("sparse_lengths_sum_4bit_rowwise_sparse", "SparseLengthsSum4BitRowwiseSparse")


@_layer
def dropout(model: Any, blob_in: Any, blob_out: Any, use_cudnn: bool = False, **kwargs: Any) -> Any:
    if "is_test" not in kwargs:
        raise ValueError("dropout needs the argument is_test")
    engine = "CUDNN" if use_cudnn else "DEFAULT"
    return model.net.Dropout(blob_in, [blob_out, f"_{blob_out}_mask"], engine=engine, **kwargs)[0]


@_layer
def concat(model: Any, blobs_in: Any, blob_out: Any, **kwargs: Any) -> Any:
    if kwargs.get("axis"):
        kwargs.pop("order", None)  # they exclude each other
    return model.net.Concat(blobs_in, [blob_out, f"_{blob_out}_concat_dims"], **kwargs)[0]


@_layer
def depth_concat(model: Any, blobs_in: Any, blob_out: Any, **kwargs: Any) -> Any:
    return concat(model, blobs_in, blob_out, **kwargs)


@_layer
def image_input(model: Any, blob_in: Any, blob_out: Any, order: str = "NCHW", **kwargs: Any) -> Any:
    return model.net.ImageInput(blob_in, blob_out, **kwargs)


# ---- layers with parameters ----------------------------------------------------------------------------------------


def _fully_connected(op_type: str) -> Callable[..., Any]:
    def layer(
        model: Any,
        blob_in: Any,
        blob_out: Any,
        dim_in: int,
        dim_out: int,
        weight_init: Any = None,
        bias_init: Any = None,
        WeightInitializer: Any = None,
        BiasInitializer: Any = None,
        **kwargs: Any,
    ) -> Any:
        blob_out = blob_out or model.net.NextName()
        tags = [ParameterTags.BIAS] + ([ParameterTags.COMPUTED_PARAM] if "freeze_bias" in kwargs else [])
        w = _param(
            model, blob_out + "_w", [dim_out, dim_in], weight_init, _WEIGHT, ParameterTags.WEIGHT, WeightInitializer
        )
        b = _param(model, blob_out + "_b", [dim_out], bias_init, _ZERO, tags, BiasInitializer)
        return getattr(model.net, op_type)([blob_in, w, b], blob_out, **kwargs)

    return layer


for _name, _type in (("fc", "FC"), ("packed_fc", "PackedFC")):
    ALL[_name] = _fully_connected(_type)
    ALL[_name].__name__ = _name


def _convolution(
    model: Any,
    is_nd: bool,
    blob_in: Any,
    blob_out: Any,
    dim_in: int,
    dim_out: int,
    kernel: Any,
    weight_init: Any = None,
    bias_init: Any = None,
    WeightInitializer: Any = None,
    BiasInitializer: Any = None,
    group: int = 1,
    transform_inputs: Any = None,
    use_cudnn: bool = False,
    order: str = "NCHW",
    cudnn_exhaustive_search: bool = False,
    no_bias: bool = False,
    **kwargs: Any,
) -> Any:
    several = isinstance(kernel, (list, tuple))
    kernels = list(kernel) if several else [kernel] * (1 if is_nd else 2)
    if not is_nd and len(kernels) != 2:
        raise ValueError(f"a 2-dimensional convolution has 2 kernel sizes, not {len(kernels)}")
    if use_cudnn:
        kwargs.update(engine="CUDNN", exhaustive_search=cudnn_exhaustive_search)
    blob_out = blob_out or model.net.NextName()
    inner = dim_in // group
    shape = [dim_out, inner, *kernels] if order == "NCHW" else [dim_out, *kernels, inner]
    inputs = [
        blob_in,
        _param(model, blob_out + "_w", shape, weight_init, _WEIGHT, ParameterTags.WEIGHT, WeightInitializer),
    ]
    if not no_bias:
        inputs.append(_param(model, blob_out + "_b", [dim_out], bias_init, _ZERO, ParameterTags.BIAS, BiasInitializer))
    if transform_inputs is not None:
        transform_inputs(model, blob_out, inputs)
    if group != 1:
        kwargs["group"] = group
    if is_nd:
        kwargs["kernels"] = kernels
    elif several:
        kwargs.update(kernel_h=kernels[0], kernel_w=kernels[1])
    else:
        kwargs["kernel"] = kernel
    return model.net.Conv(inputs, blob_out, order=order, **kwargs)


@_layer
def conv(model: Any, *args: Any, **kwargs: Any) -> Any:
    return _convolution(model, False, *args, **kwargs)


@_layer
def conv_nd(model: Any, *args: Any, **kwargs: Any) -> Any:
    return _convolution(model, True, *args, **kwargs)


@_layer
def group_conv(model: Any, *args: Any, **kwargs: Any) -> Any:
    return _convolution(model, False, *args, **kwargs)


@_layer
def conv_transpose(
    model: Any,
    blob_in: Any,
    blob_out: Any,
    dim_in: int,
    dim_out: int,
    kernel: int,
    weight_init: Any = None,
    bias_init: Any = None,
    use_cudnn: bool = False,
    order: str = "NCHW",
    cudnn_exhaustive_search: bool = False,
    **kwargs: Any,
) -> Any:
    if use_cudnn:
        kwargs.update(engine="CUDNN", exhaustive_search=cudnn_exhaustive_search)
    blob_out = blob_out or model.net.NextName()
    shape = [dim_in, dim_out, kernel, kernel] if order == "NCHW" else [dim_in, kernel, kernel, dim_out]
    w = _param(model, blob_out + "_w", shape, weight_init, _WEIGHT, ParameterTags.WEIGHT)
    b = _param(model, blob_out + "_b", [dim_out], bias_init, _ZERO, ParameterTags.BIAS)
    return model.net.ConvTranspose([blob_in, w, b], blob_out, kernel=kernel, order=order, **kwargs)


@_layer
def elementwise_linear(
    model: Any, blob_in: Any, blob_out: Any, dim: int, weight_init: Any = None, bias_init: Any = None, **kwargs: Any
) -> Any:
    blob_out = blob_out or model.net.NextName()
    w = _param(model, blob_out + "_w", [dim], weight_init, _constant(1.0), ParameterTags.WEIGHT)
    b = _param(model, blob_out + "_b", [dim], bias_init, _constant(0.0), ParameterTags.BIAS)
    return model.net.ElementwiseLinear([blob_in, w, b], blob_out, **kwargs)


@_layer
def prelu(model: Any, blob_in: Any, blob_out: Any, num_channels: int = 1, slope_init: Any = None, **kwargs: Any) -> Any:
    slope = _param(model, blob_out + "_slope", [num_channels], slope_init, _constant(0.25), None)
    return model.net.PRelu([blob_in, slope], [blob_out])


# ---- normalization -------------------------------------------------------------------------------------------------


@_layer
def instance_norm(model: Any, blob_in: Any, blob_out: Any, dim_in: int, order: str = "NCHW", **kwargs: Any) -> Any:
    blob_out = blob_out or model.net.NextName()
    s = _param(model, f"{blob_out}_s", [dim_in], None, _constant(1.0), ParameterTags.WEIGHT)
    b = _param(model, f"{blob_out}_b", [dim_in], None, _constant(0.0), ParameterTags.BIAS)
    if kwargs.get("is_test"):
        return model.net.InstanceNorm([blob_in, s, b], [blob_out], order=order, **kwargs)
    outputs = [blob_out, f"{blob_out}_sm", f"{blob_out}_siv"]
    return model.net.InstanceNorm([blob_in, s, b], outputs, order=order, **kwargs)[0]


@_layer
def spatial_bn(
    model: Any,
    blob_in: Any,
    blob_out: Any,
    dim_in: int,
    init_scale: float = 1.0,
    init_bias: float = 0.0,
    ScaleInitializer: Any = None,
    BiasInitializer: Any = None,
    RunningMeanInitializer: Any = None,
    RunningVarianceInitializer: Any = None,
    order: str = "NCHW",
    **kwargs: Any,
) -> Any:
    blob_out = blob_out or model.net.NextName()
    computed = ParameterTags.COMPUTED_PARAM
    parameters = [
        _param(model, blob_out + end, [dim_in], None, _constant(value), tags, kind)
        for end, value, tags, kind in (
            ("_s", init_scale, ParameterTags.WEIGHT, ScaleInitializer),
            ("_b", init_bias, ParameterTags.BIAS, BiasInitializer),
            ("_rm", 0.0, computed, RunningMeanInitializer),
            ("_riv", 1.0, computed, RunningVarianceInitializer),
        )
    ]
    if kwargs.get("is_test"):
        return model.net.SpatialBN([blob_in, *parameters], [blob_out], order=order, **kwargs)
    outputs = [blob_out, *parameters[2:], blob_out + "_sm", blob_out + "_siv"]
    return model.net.SpatialBN([blob_in, *parameters], outputs, order=order, **kwargs)[0]


@_layer
def spatial_gn(
    model: Any,
    blob_in: Any,
    blob_out: Any,
    dim_in: int,
    init_scale: float = 1.0,
    init_bias: float = 0.0,
    ScaleInitializer: Any = None,
    BiasInitializer: Any = None,
    order: str = "NCHW",
    **kwargs: Any,
) -> Any:
    blob_out = blob_out or model.net.NextName()
    s = _param(model, blob_out + "_s", [dim_in], None, _constant(init_scale), ParameterTags.WEIGHT, ScaleInitializer)
    b = _param(model, blob_out + "_b", [dim_in], None, _constant(init_bias), ParameterTags.BIAS, BiasInitializer)
    outputs = [blob_out, blob_out + "_mean", blob_out + "_std"]
    return model.net.GroupNorm([blob_in, s, b], outputs, order=order, **kwargs)[0]


@_layer
def layer_norm(
    model: Any,
    blob_in: Any,
    blob_out: Any,
    dim_in: Any,
    axis: int = 1,
    epsilon: float = 1e-4,
    initial_scale: float = 1.0,
    initial_bias: float = 0.0,
) -> Any:
    shape = [dim_in] if isinstance(dim_in, int) else dim_in
    s = _param(model, f"{blob_out}_scale", shape, None, _constant(initial_scale), ParameterTags.WEIGHT)
    b = _param(model, f"{blob_out}_bias", shape, None, _constant(initial_bias), ParameterTags.BIAS)
    outputs = [blob_out, f"{blob_out}_mean", f"{blob_out}_std"]
    return model.net.LayerNorm([blob_in, s, b], outputs, axis=axis, epsilon=epsilon, elementwise_affine=True)


@_layer
def moments_with_running_stats(
    model: Any, blob_in: Any, blob_out: Any, dim_in: int, order: str = "NCHW", **kwargs: Any
) -> Any:
    for end, value in (("_rm", 0.0), ("_riv", 1.0)):
        _param(model, blob_out + end, [dim_in], None, _constant(value), ParameterTags.COMPUTED_PARAM)
    axes = [0, 2, 3] if order == "NCHW" else [0, 1, 2]
    return model.net.Moments(
        [blob_in], [blob_out + "_sm", blob_out + "_sv"], axes=axes, order=order, keepdims=False, **kwargs
    )


# ---- control -------------------------------------------------------------------------------------------------------


@_layer
def cond(model: Any, cond_blob: Any, external_blobs: Any, then_model: Any, else_model: Any = None) -> None:
    else_net = else_model.net if else_model else None
    control_ops_util.add_if_op(model.net, cond_blob, external_blobs, then_model.net, else_net)


@_layer
def loop(model: Any, cond_blob: Any, external_blobs: Any, loop_model: Any, cond_model: Any = None) -> None:
    cond_net = cond_model.net if cond_model else None
    control_ops_util.add_while_op(model.net, cond_blob, external_blobs, loop_model.net, cond_net)


@_layer
def iter(model: Any, blob_out: Any, **kwargs: Any) -> Any:
    """A counter of runs, in the blob."""
    device = core.DeviceOption(0)
    with core.DeviceScope(device):
        kwargs.pop("device_option", None)
        model.param_init_net.ConstantFill([], blob_out, shape=[1], value=0, dtype=core.DataType.INT64, **kwargs)
        return model.net.Iter(blob_out, blob_out, **kwargs)
