"""From a float net to an int8 net.

::

    histogram       values of a blob in a fixed number of bins, whatever their order
    statistics      histograms of all blobs of a net, and their file
    caffe2_files    Caffe2's own histogram and the text files of its observers
    net             a float net, its operators and weights, on the workbench
    rewrite/        passes that leave its outputs equal
"""
