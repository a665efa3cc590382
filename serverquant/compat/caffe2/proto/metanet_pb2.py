"""Message classes and enum values under their Caffe2 names."""

from serverquant.proto import *  # noqa: F403
