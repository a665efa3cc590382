"""fp32 convolutions in one to three dimensions, NCHW and NHWC, depthwise too: see conv_f32.h."""
