"""Operator type -> its modules. Written by make_index.py."""

MODULES: dict[str, tuple[str, ...]] = {
    "Clip": (
        "serverquant.ops.unary.schema",
        "serverquant.ops.unary.float",
    ),
    "Concat": (
        "serverquant.ops.shape.schema",
        "serverquant.ops.shape.float",
    ),
    "ConstantFill": (
        "serverquant.ops.fill.schema",
        "serverquant.ops.fill.float",
    ),
    "Copy": (
        "serverquant.ops.shape.schema",
        "serverquant.ops.shape.float",
    ),
    "Dropout": (
        "serverquant.ops.shape.schema",
        "serverquant.ops.shape.float",
    ),
    "ExpandDims": (
        "serverquant.ops.shape.schema",
        "serverquant.ops.shape.float",
    ),
    "Flatten": (
        "serverquant.ops.shape.schema",
        "serverquant.ops.shape.float",
    ),
    "Gather": (
        "serverquant.ops.shape.schema",
        "serverquant.ops.shape.float",
    ),
    "GaussianFill": (
        "serverquant.ops.fill.schema",
        "serverquant.ops.fill.float",
    ),
    "GivenTensorBoolFill": (
        "serverquant.ops.fill.schema",
        "serverquant.ops.fill.float",
    ),
    "GivenTensorByteStringToUInt8Fill": (
        "serverquant.ops.fill.schema",
        "serverquant.ops.fill.float",
    ),
    "GivenTensorDoubleFill": (
        "serverquant.ops.fill.schema",
        "serverquant.ops.fill.float",
    ),
    "GivenTensorFill": (
        "serverquant.ops.fill.schema",
        "serverquant.ops.fill.float",
    ),
    "GivenTensorInt16Fill": (
        "serverquant.ops.fill.schema",
        "serverquant.ops.fill.float",
    ),
    "GivenTensorInt64Fill": (
        "serverquant.ops.fill.schema",
        "serverquant.ops.fill.float",
    ),
    "GivenTensorIntFill": (
        "serverquant.ops.fill.schema",
        "serverquant.ops.fill.float",
    ),
    "GivenTensorStringFill": (
        "serverquant.ops.fill.schema",
        "serverquant.ops.fill.float",
    ),
    "Int8GivenIntTensorFill": (
        "serverquant.ops.fill.schema",
        "serverquant.ops.fill.float",
    ),
    "Int8GivenTensorFill": (
        "serverquant.ops.fill.schema",
        "serverquant.ops.fill.float",
    ),
    "Int8Relu": (
        "serverquant.ops.unary.schema",
        "serverquant.ops.unary.dnnlowp",
    ),
    "MSRAFill": (
        "serverquant.ops.fill.schema",
        "serverquant.ops.fill.float",
    ),
    "NCHW2NHWC": (
        "serverquant.ops.shape.schema",
        "serverquant.ops.shape.float",
    ),
    "NHWC2NCHW": (
        "serverquant.ops.shape.schema",
        "serverquant.ops.shape.float",
    ),
    "Relu": (
        "serverquant.ops.unary.schema",
        "serverquant.ops.unary.dnnlowp",
        "serverquant.ops.unary.float",
    ),
    "Reshape": (
        "serverquant.ops.shape.schema",
        "serverquant.ops.shape.float",
    ),
    "Shape": (
        "serverquant.ops.shape.schema",
        "serverquant.ops.shape.float",
    ),
    "Transpose": (
        "serverquant.ops.shape.schema",
        "serverquant.ops.shape.float",
    ),
    "UniformFill": (
        "serverquant.ops.fill.schema",
        "serverquant.ops.fill.float",
    ),
    "XavierFill": (
        "serverquant.ops.fill.schema",
        "serverquant.ops.fill.float",
    ),
}
