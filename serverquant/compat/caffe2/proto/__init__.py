"""Caffe2's messages, from a descriptor pool of our own."""
