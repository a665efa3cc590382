"""The verbs quantize and compare."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from serverquant.cli import main

NETS = Path(__file__).resolve().parents[2] / "nets"
FLOAT = [str(NETS / "digits24" / f) for f in ("init_net.pb", "predict_net.pb")]
IMAGES = str(NETS / "digits24" / "inputs.npz")


def test_quantize_and_compare(capsys, tmp_path):
    np.save(tmp_path / "x.npy", np.load(IMAGES)["data"][:40])
    out = str(tmp_path / "new" / "out")
    assert main(["quantize", *FLOAT, "--data", f"{tmp_path}/x.npy", "-o", out, "--method", "p99"]) == 0
    printed = capsys.readouterr().out
    assert "int8 blobs, calibrated on 40 samples" in printed
    assert "us int8, for a sample" in printed
    assert "warning" not in printed
    assert json.loads(Path(out, "recipe.json").read_text())["settings"]["method"] == "p99"
    assert main(["compare", str(NETS / "digits24"), out, "--data", IMAGES, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found[-1]["a"] == "out"
    assert found[-1]["top1"] > 0.95
    assert found[-1]["alone"]["sqnr"] > found[-1]["sqnr"]
    assert main(["compare", ",".join(FLOAT), out, "--data", IMAGES]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("out")
    assert "/500 (" in last


def test_a_net_that_will_not_gain(capsys, recwarn, tmp_path):
    argv = [str(NETS / "detector" / f) for f in ("init_net.pb", "predict_net.pb", "inputs.npz")]
    assert main(["quantize", *argv[:2], "--data", argv[2], "-o", str(tmp_path), "--embeddings", "fused4"]) == 0
    assert "of the time stays float: GenerateProposals (rois)" in capsys.readouterr().err
    assert not [w for w in recwarn if "stays float" in str(w.message)]


def test_calibrate_once(capsys, tmp_path):
    np.save(tmp_path / "x.npy", np.load(IMAGES)["data"][:20])
    stats, made = str(tmp_path / "stats"), [str(tmp_path / name) for name in "ab"]
    assert main(["calibrate", *FLOAT, "--data", f"{tmp_path}/x.npy", "-o", stats]) == 0
    assert "20 samples" in capsys.readouterr().out
    assert main(["quantize", *FLOAT, "--statistics", stats, "-o", made[0]]) == 0
    data = ["--data", f"{tmp_path}/x.npy", "--equalization", "cross_layer"]  # not through Clip, as that of statistics
    assert main(["quantize", *FLOAT, *data, "-o", made[1]]) == 0
    assert len({Path(folder, "predict_net.pb").read_bytes() for folder in made}) == 1
    assert main(["quantize", *FLOAT, "-o", made[0]]) == 1
    assert "give calibration data or statistics" in capsys.readouterr().err


def test_a_file_in_the_place_of_the_folder(capsys, tmp_path):
    (tmp_path / "out").write_text("mine")
    assert main(["quantize", *FLOAT, "--data", IMAGES, "-o", str(tmp_path / "out")]) == 1
    assert "out is no folder" in capsys.readouterr().err


def test_a_folder_of_images(capsys, tmp_path):
    from PIL import Image

    (tmp_path / "images").mkdir()
    for i, image in enumerate(np.load(IMAGES)["data"][:4]):
        Image.fromarray(np.uint8(np.clip(image[0] * 200, 0, 255))).save(tmp_path / "images" / f"{i}.png")
    argv = ["quantize", *FLOAT, "--data", f"{tmp_path}/images", "-o", f"{tmp_path}/out", "--json"]
    assert main([*argv, "--color", "gray", "--scale", "0.005"]) == 0
    assert json.loads(capsys.readouterr().out)["calibration"]["samples"] == 4


def test_refusals(capsys, tmp_path):
    out = str(tmp_path / "out")
    (tmp_path / "empty").mkdir()
    for argv, word in [
        (["quantize", *FLOAT, "--data", f"{tmp_path}/no.npz", "-o", out], "No such file"),
        (["quantize", *FLOAT, "--data", f"{tmp_path}/empty", "-o", out], "has no files"),
        (["quantize", *FLOAT, "--data", IMAGES, "-o", out, "--batch", "0"], "must be 1 or more"),
        (["compare", "nowhere", out, "--data", IMAGES], "is no folder"),
    ]:
        assert main(argv) == 1
        assert word in capsys.readouterr().err
    assert not Path(out).exists()
