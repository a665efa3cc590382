"""What makes up for quantization's errors beyond the choice of ranges.

::

    equalization    float net -> float net of equal outputs whose channels have more even ranges
    bias            the mean error of each layer's outputs, taken off its bias
    clipping        weight scales by the error that they make in the outputs
    means           sums over calibration data that no order of the data changes
"""
