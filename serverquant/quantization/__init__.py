"""From a float net to an int8 net.

::

    histogram           values of a blob in a fixed number of bins, whatever their order
    statistics          histograms of all blobs of a net, and their file
    seen                a look at them, or at Caffe2's
    caffe2_files        the text files of Caffe2's observers
    dynamic_histogram   the histogram that they keep
    caffe2_observers    the observers
    net                 a float net, its operators and weights, on the workbench
    rewrite/            passes that leave its outputs equal
    images              folders of images, and how pixels become inputs
    data                calibration data as batches
    corrections/        equalization of channels, bias correction
    calibrate           runs a float net and keeps the statistics of its blobs
    doubts              what speaks against data that can be used
    affine              what scales and shifts by channel do
    emit/               the int8 operators of a net, by family
    estimate            what they gain, from a model of costs
    ptq                 all of this in one call: quantize
    compare             two nets, blob by blob
    alone               the operators of a net, each by itself
    report/             what a quantization costs and gives
"""
