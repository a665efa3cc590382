"""How it was built."""

build_options: dict[str, str] = {}
CAFFE2_NO_OPERATOR_SCHEMA = False
