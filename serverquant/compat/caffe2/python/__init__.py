"""Caffe2's Python modules."""
