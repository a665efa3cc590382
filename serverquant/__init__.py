"""serverquant: run and quantize Caffe2-style nets on CPU servers."""
