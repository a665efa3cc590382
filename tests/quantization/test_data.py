"""Calibration data: arrays, files that are read by pieces, folders of images, and what is wrong with them."""

from __future__ import annotations

import numpy as np
import pytest
from small_nets import conv, nets_of, random

import serverquant
from serverquant._base.errors import ArgumentError, QuantizationError
from serverquant.quantization.data import Data, batches
from serverquant.quantization.statistics import Statistics

f32 = np.float32
A, B = random(7, 2, 3), random(7, 4)


def joined(data: Data, batch: int, skip: int = 0) -> dict[str, np.ndarray]:
    parts = list(data.batches(batch, skip))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


@pytest.mark.parametrize("skip", [0, 3])
@pytest.mark.parametrize("kind", ["mapping", "npz", "compressed", "batches"])
def test_all_samples_come(tmp_path, kind, skip):
    given = {"a": A, "b": B}
    if kind in ("npz", "compressed"):
        (np.savez if kind == "npz" else np.savez_compressed)(tmp_path / "x.npz", labels=np.arange(3), **given)
        given = str(tmp_path / "x.npz")
    elif kind == "batches":
        given = [{"a": A[:3], "b": B[:3]}, {"a": A[3:], "b": B[3:]}]
    data = Data(given, ["a", "b"])
    assert data.total == (None if kind == "batches" else 7)
    got = joined(data, 2, skip)
    np.testing.assert_array_equal(got["a"], A[skip:])
    np.testing.assert_array_equal(got["b"], B[skip:])


@pytest.mark.parametrize("array", [A, A[:, 0].astype(np.float64), np.asfortranarray(A[:, :, 0]), A[:1]])
def test_npy(tmp_path, array):
    np.save(tmp_path / "x.npy", array)
    got = joined(Data(tmp_path / "x.npy", ["x"]), 3)["x"]
    assert got.dtype == f32
    np.testing.assert_array_equal(got, array.astype(f32))


def test_a_scalar_is_one_run(tmp_path):
    np.savez(tmp_path / "x.npz", a=A, rate=np.float32(3))
    (feeds,) = batches(tmp_path / "x.npz", ["a", "rate"], 2)
    assert feeds["rate"] == 3
    np.testing.assert_array_equal(feeds["a"], A)


def test_files_that_are_wrong(tmp_path):
    np.save(tmp_path / "short.npy", A)
    (tmp_path / "short.npy").write_bytes((tmp_path / "short.npy").read_bytes()[:-8])
    np.save(tmp_path / "objects.npy", np.array([{}], object), allow_pickle=True)
    (tmp_path / "text.npy").write_text("no array")
    np.savez(tmp_path / "bad.npz", x=random(4000, 20))
    stored = bytearray((tmp_path / "bad.npz").read_bytes())
    stored[200_000:200_004] = b"oops"
    (tmp_path / "bad.npz").write_bytes(stored)
    for name, match in [
        ("short.npy", "cut short"),
        ("objects.npy", "not a file of numbers"),
        ("text.npy", "not a file of numbers"),
        ("bad.npz", "damaged"),
        ("other.txt", ".npz or .npy"),
    ]:
        (tmp_path / "other.txt").touch()
        with pytest.raises(ArgumentError, match=match):
            list(batches(tmp_path / name, ["x"]))
    with pytest.raises(FileNotFoundError):
        Data(tmp_path / "missing.npy", ["x"])
    with pytest.raises(ArgumentError, match="lacks the input y; it has x"):
        Data({"x": A}, ["x", "y"])


def test_wrong_bytes(tmp_path):
    data, stats = tmp_path / "x.npz", tmp_path / "stats"
    np.savez_compressed(data, x=A)
    seen = Statistics()
    seen.add("x", A)
    seen.save(stats)
    for path, read in ((data, lambda: list(batches(data, ["x"], 2))), (stats, lambda: Statistics.load(stats))):
        whole, refused = path.read_bytes(), 0
        for at in range(0, len(whole), 5):
            path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
            try:
                read()
            except (ArgumentError, QuantizationError, OSError):  # a place in the file that cannot be
                refused += 1
        assert refused > len(whole) / 10


def test_descriptions_tell_data_apart(tmp_path):
    other = A.copy()
    other[-1, -1, -1] += 1
    np.save(tmp_path / "x.npy", A)
    given = [A, A[:6], A.astype(np.float64), other, {"x": B}, tmp_path / "x.npy", iter([A])]
    assert len({Data(data, ["x"]).description for data in given}) == len(given)
    assert Data(A.copy(), ["x"]).description == Data({"x": A}, ["x"]).description


def photos(folder, shapes=((6, 8), (6, 8), (6, 8))):
    from PIL import Image

    folder.mkdir()
    made = []
    for i, shape in enumerate(shapes):
        made.append(np.random.default_rng(i).integers(0, 256, (*shape, 3), np.uint8))
        Image.fromarray(made[-1]).save(folder / f"{i}.png")
    (folder / ".hidden").write_text("no image")
    return made


def test_a_folder_of_images(tmp_path):
    made = np.stack(photos(tmp_path / "photos"))
    np.save(tmp_path / "photos" / "z.npy", np.zeros((1, 3, 6, 8), f32))
    ready = serverquant.images(tmp_path / "photos", scale=1 / 255, mean=(0.1, 0.2, 0.3), std=2.0)
    want = (made.astype(f32) * f32(1 / 255) - f32([0.1, 0.2, 0.3])) / f32(2)
    data = Data(ready, ["x"])
    assert data.total == len(ready) == 4
    got = joined(data, 3)["x"]
    np.testing.assert_array_equal(got[:3], want.transpose(0, 3, 1, 2))
    assert not got[3].any()
    np.testing.assert_array_equal(joined(data, 2, skip=1)["x"], got[1:])
    assert joined(Data(tmp_path / "photos", ["x"]), 4)["x"].max() == made.max()  # pixels as they are
    net = nets_of([conv("x", "y", "w")], w=random(4, 3, 3, 3))
    (tmp_path / "photos" / "z.npy").unlink()
    found = serverquant.quantize(*net, serverquant.images(tmp_path / "photos", size=(5, 5), scale=0.01))
    assert found.recipe["calibration"]["samples"] == 3
    assert found.statistics.blobs["x"].shape == (3, 5, 5)


def test_folders_that_are_wrong(tmp_path):
    photos(tmp_path / "photos", ((4, 4), (4, 5)))
    with pytest.raises(ArgumentError, match=r"different shapes .*0.png.*; give a size"):
        list(batches(tmp_path / "photos", ["x"]))
    assert len(list(batches(tmp_path / "photos", ["x"], 1))) == 2
    whole = (tmp_path / "photos" / "0.png").read_bytes()
    (tmp_path / "photos" / "0.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ArgumentError, match=r"0.png is a damaged image"):
        list(batches(tmp_path / "photos", ["x"]))
    (tmp_path / "photos" / "0.png").write_text("words")
    with pytest.raises(ArgumentError, match=r"0.png is not an image"):
        list(batches(tmp_path / "photos", ["x"]))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ArgumentError, match="has no files"):
        serverquant.images(tmp_path / "empty")
    for more in ({"layout": "CHW"}, {"color": "cmyk"}):
        with pytest.raises(ArgumentError, match="must be one of"):
            serverquant.images(tmp_path / "photos", **more)
