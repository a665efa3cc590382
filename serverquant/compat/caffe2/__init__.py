"""Caffe2, by serverquant."""
