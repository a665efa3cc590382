"""Caffe2's quantization modules."""
