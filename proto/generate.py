"""Compiles the .proto files of this folder into serverquant/proto/caffe2.desc.

    pip install grpcio-tools && python proto/generate.py      (`make proto` does both)

The output is a serialized FileDescriptorSet without comments. The sha256 of the sources is written beside them, by
which a test sees a stale output without needing a compiler. Descriptors from a compiler of any version are read by
protobuf 4.25 and newer.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
TARGET = HERE.parent / "serverquant" / "proto" / "caffe2.desc"
SOURCES = ("caffe2.proto", "metanet.proto", "predictor_consts.proto")


def source_hash() -> str:
    """The sha256 over the sources, each preceded by its name."""
    digest = hashlib.sha256()
    for name in SOURCES:
        digest.update(name.encode() + b"\0" + (HERE / name).read_bytes() + b"\0")
    return digest.hexdigest()


def main() -> int:
    from grpc_tools import protoc

    # Mapped to the paths that Caffe2 has them under: a file that imports "caffe2/proto/caffe2.proto" finds it.
    files = [f"caffe2/proto/{name}" for name in SOURCES]
    code: int = protoc.main(["protoc", f"--proto_path=caffe2/proto={HERE}", f"--descriptor_set_out={TARGET}", *files])
    if code == 0:
        (HERE / "caffe2.desc.sha256").write_text(source_hash() + "\n")
        print(f"{TARGET} {TARGET.stat().st_size} bytes")
    return code


if __name__ == "__main__":
    sys.exit(main())
