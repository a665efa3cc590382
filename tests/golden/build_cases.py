"""Writes `cases/*.npz`: the golden corpus in the form that the tests read.

    python tests/golden/build_cases.py CORPUS

The corpus (pairs NAME.json and NAME.npz, format "golden-1") was made with the real Caffe2 1.8.1 of the wheel torch
1.8.1 on a CPU with AVX-512 VNNI.

Format of a file here: two uint8 members. `manifest` is JSON: {"oracle", "seed", "cases": [...]}; in a case `net`,
`init` (or null) and tensors are "at": [offset in bytes, dtype, shape] in `store`, where equal arrays lie only once.
The same input gives the same bytes.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import corpus
import numpy as np


class Store:
    """Arrays, one after another, each distinct one once."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.places: dict[tuple[bytes, str], int] = {}

    def put(self, array: np.ndarray) -> list[Any]:
        """[offset, dtype, shape] of where the array now lies."""
        raw = array.tobytes()
        key = (raw, array.dtype.str)
        if key not in self.places:
            self.places[key] = len(self.data)
            self.data += raw
        return [self.places[key], array.dtype.str, list(array.shape)]


def pack_value(value: dict[str, Any], arrays: dict[str, np.ndarray], store: Store) -> dict[str, Any]:
    if value["kind"] == "strings":
        return {"strings": value["values"]}
    packed: dict[str, Any] = {"at": store.put(arrays[value["key"]])}
    if value["kind"] == "int8":
        packed |= {"scale": value["scale"], "zero_point": value["zero_point"]}
    return packed


def pack_case(entry: dict[str, Any], arrays: dict[str, np.ndarray], store: Store) -> dict[str, Any]:
    kept = {key: entry[key] for key in ("id", "family", "op", "engine", "tags", "flags", "compare")}
    for key in ("net", "init"):
        kept[key] = store.put(arrays[entry[key]]) if entry.get(key) else None
    steps = [{side: {name: pack_value(value, arrays, store) for name, value in step[side].items()}
              for side in ("inputs", "outputs")} for step in entry["steps"]]
    return kept | {"error": entry.get("error"), "steps": steps}


def build_file(source: Path) -> int:
    """Packs one corpus file. Returns the number of its cases."""
    manifest = json.loads(source.read_text())
    if manifest.get("format") != "golden-1":
        return 0
    with np.load(source.with_name(manifest["npz"])) as members:
        arrays = {key: members[key] for key in members.files}
    store = Store()
    packed = [pack_case(entry, arrays, store) for entry in manifest["cases"]]
    kept = {"oracle": manifest["oracle"], "seed": manifest["seed"], "cases": packed}
    text = json.dumps(kept, separators=(",", ":"))
    np.savez_compressed(corpus.FOLDER / f"{source.stem}.npz", manifest=np.frombuffer(text.encode(), np.uint8),
                        store=np.frombuffer(bytes(store.data), np.uint8))
    return len(packed)


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    corpus.FOLDER.mkdir(exist_ok=True)
    for old in corpus.FOLDER.glob("*.npz"):
        old.unlink()
    counts = {source.stem: build_file(source) for source in sorted(Path(sys.argv[1]).glob("*.json"))}
    for name, count in counts.items():
        print(f"{name:20} {count:5}")
    print(f"{'all':20} {sum(counts.values()):5}")


if __name__ == "__main__":
    main()
