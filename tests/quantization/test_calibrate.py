"""Calibration: any way of cutting, stopping and resuming gives the same bytes; bad data are refused or doubted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from small_nets import NETS, conv, nets_of, random

import serverquant
from serverquant import core
from serverquant._base import _threads
from serverquant._base.errors import ArgumentError, QuantizationError
from serverquant.quantization import statistics
from serverquant.quantization.calibrate import CalibrationWarning, calibrate
from serverquant.quantization.statistics import Statistics

f32 = np.float32
DIGITS = NETS / "digits24" / "init_net.pb", NETS / "digits24" / "predict_net.pb"
W, X = random(4, 3, 3, 3, seed=1), random(6, 3, 8, 8)
CONV = nets_of([conv("x", "h", "w"), core.CreateOperator("Relu", ["h"], ["y"])], w=W)


def images(count: int) -> np.ndarray:
    return np.load(NETS / "digits24" / "train.npz")["data"][:count]


def bytes_of(found: Statistics) -> bytes:
    return found._bytes()


# ---- what is counted ------------------------------------------------------------------------------------------------


def test_what_is_counted():
    found = calibrate(*CONV, X)
    with serverquant.load(*CONV, keep_blobs=True) as predict:
        predict(X)
        kept = {name: predict.fetch(name) for name in "xhy"}
    assert set(found.blobs) == set(kept)
    for name, values in kept.items():
        seen = found.blobs[name].histogram
        counted = 0 if name == "h" else values.size  # of what a Relu fuses with, the range will do
        assert (seen.total, seen.lo, seen.hi) == (counted, values.min(), values.max())
        np.testing.assert_array_equal(found.blobs[name].maxima, np.abs(values).max(axis=(0, 2, 3)))
        assert found.blobs[name].shape == values.shape[1:]


@pytest.mark.parametrize(
    "activation",
    [
        core.CreateOperator("Relu", ["h"], ["y"]),
        core.CreateOperator("Clip", ["h"], ["y"], min=0.0, max=3.0),
        core.CreateOperator("ReluN", ["h"], ["y"], n=0.5),
    ],
    ids=lambda op: op.type,
)
@pytest.mark.parametrize("largest", [1.0, 3e38])
def test_what_an_activation_writes_is_counted(activation, largest):
    """Also where a layer overflows."""
    data = X.copy()
    data[2, 0, 0, :2] = largest, -largest
    found = calibrate(*nets_of([conv("x", "h", "w"), activation], w=W * f32(2)), data, batch=2)
    with serverquant.load(*nets_of([conv("x", "h", "w"), activation], w=W * f32(2)), keep_blobs=True) as predict:
        predict(data)
        h, y = predict.fetch("h"), predict.fetch("y")
    assert np.isfinite(h).all() == (largest == 1)
    for name, value in (("h", h), ("y", y)):
        want = Statistics()
        want.add(name, value, counted=name == "y")
        got, blob = found.blobs[name], want.blobs[name]
        for key, array in blob.histogram.arrays().items():
            np.testing.assert_array_equal(got.histogram.arrays()[key], array)
        np.testing.assert_array_equal(got.maxima, blob.maxima)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_batches_and_threads_change_no_byte(threads):
    data, want = images(12), bytes_of(calibrate(*DIGITS, images(12), batch=5))
    before = _threads.set_num_threads(threads)
    _threads.force_teams(True)
    try:
        shuffled = (data[i : i + 3] for i in (9, 3, 0, 6))
        for given, batch in ((data, None), (data[::-1], 1), ({"data": data}, 12), (shuffled, None)):
            assert bytes_of(calibrate(*DIGITS, given, batch=batch)) == want
    finally:
        _threads.force_teams(False)
        _threads.set_num_threads(before)


def test_shards_merge_to_the_whole():
    data = images(12)
    parts = [calibrate(*DIGITS, data[i : i + 4]) for i in (4, 8, 0)]
    parts[1].merge(parts[0])
    parts[2].merge(parts[1])
    assert bytes_of(parts[2]) == bytes_of(calibrate(*DIGITS, data))


def test_nets_of_every_type_are_calibrated_alike():
    want = calibrate(*DIGITS, images(4))
    net = serverquant.proto.NetDef()
    net.ParseFromString(DIGITS[1].read_bytes())
    net.type = "dag"
    found = calibrate(DIGITS[0], net, images(4))
    for name, blob in want.blobs.items():
        assert {k: a.tobytes() for k, a in blob.histogram.arrays().items()} == {
            k: a.tobytes() for k, a in found.blobs[name].histogram.arrays().items()
        }


def test_moving_averages():
    data = [random(2, 3, 8, 8, seed=i) * f32(i + 1) for i in range(3)]
    found = calibrate(*CONV, iter(data), average=0.25)
    lo, hi = data[0].min(), data[0].max()
    for part in data[1:]:
        lo, hi = lo + f32(0.25) * (part.min() - lo), hi + f32(0.25) * (part.max() - hi)
    np.testing.assert_array_equal(found.blobs["x"].average, f32([lo, hi]))
    assert found.blobs["x"].histogram.hi == data[2].max()  # the histogram knows nothing of it
    with pytest.raises(QuantizationError, match="depend on the order"):
        found.merge(calibrate(*CONV, data[0], average=0.25))
    recipe = serverquant.quantize(*CONV, statistics=found, method="moving_average").recipe
    assert recipe["blobs"]["x"]["scale"] == pytest.approx((hi - lo) / 255, rel=1e-6)
    with pytest.raises(QuantizationError, match="no moving averages"):
        serverquant.quantize(*CONV, statistics=calibrate(*CONV, X), method="moving_average")
    assert serverquant.quantize(*CONV, X, method="moving_average").recipe["settings"]["method"] == "moving_average"


# ---- saving and resuming --------------------------------------------------------------------------------------------


class Stop(Exception):
    pass


def stopping(data: np.ndarray, at: int):
    """Batches of one that end in an error."""
    for i, sample in enumerate(data):
        if i == at:
            raise Stop
        yield sample[None]


@pytest.mark.parametrize("average", [None, 0.1])
@pytest.mark.parametrize("save_every", [0, 2])
def test_faulty_data_lose_nothing(tmp_path, average, save_every):
    data, output = images(7), tmp_path / "stats"
    more = {"average": average, "output": output, "save_every": save_every}
    want = bytes_of(calibrate(*DIGITS, stopping(data, 7), average=average))
    for at in (3, 5):
        with pytest.raises(Stop):
            calibrate(*DIGITS, stopping(data, at), resume=True, **more)
        assert Statistics.load(f"{output}.part").samples == at
        assert not output.exists()
    calibrate(*DIGITS, stopping(data, 7), resume=True, **more)
    assert output.read_bytes() == want
    assert [p.name for p in tmp_path.iterdir()] == ["stats"]


def test_the_part_so_far_can_be_used(tmp_path):
    with pytest.raises(Stop):
        calibrate(*DIGITS, stopping(images(6), 5), output=tmp_path / "stats")
    part = Statistics.load(tmp_path / "stats.part")
    assert part.unfinished
    assert serverquant.quantize(*DIGITS, statistics=part).recipe["calibration"]["samples"] == 5
    with pytest.raises(QuantizationError, match="has not ended"):
        part.merge(part)


def test_what_does_not_fit_is_not_gone_on_with(tmp_path, monkeypatch):
    data, output = images(8), tmp_path / "stats"

    def begin(**more):
        calls = iter(range(10))

        def stop(done, total):
            assert total == 8
            if next(calls) == 1:
                raise Stop

        with pytest.raises(Stop):
            calibrate(*DIGITS, data, batch=2, output=output, save_every=1, progress=stop, **more)

    begin()
    for net, given, more, match in [
        (DIGITS, data[:7], {}, "other data or settings"),
        (DIGITS, data + 1, {}, "other data or settings"),
        (DIGITS, data, {"average": 0.5}, "other data or settings"),
        ((NETS / "mobilenet_v2_quarter" / DIGITS[0].name, NETS / "mobilenet_v2_quarter" / DIGITS[1].name), data, {},
        "net"),
    ]:
        with pytest.raises(QuantizationError, match=match):
            calibrate(*net, given, output=output, resume=True, **more)
    monkeypatch.setattr(statistics, "NUMERICS", statistics.NUMERICS + 1)
    with pytest.raises(QuantizationError, match="version of the numerics"):
        calibrate(*DIGITS, data, output=output, resume=True)
    monkeypatch.undo()
    calibrate(*DIGITS, data, batch=5, output=output, resume=True)  # another batch is none of its business
    assert output.read_bytes() == bytes_of(calibrate(*DIGITS, data))
    begin(average=0.5)
    with pytest.raises(QuantizationError, match="other data or settings"):
        calibrate(*DIGITS, data, batch=5, output=output, average=0.5, resume=True)  # here it matters


def test_files_are_known_by_size_and_time(tmp_path):
    np.save(tmp_path / "x.npy", images(4))
    with pytest.raises(Stop):
        calibrate(*DIGITS, tmp_path / "x.npy", batch=2, output=tmp_path / "s", save_every=1, progress=raiser)
    os.utime(tmp_path / "x.npy", ns=(1, 1))
    with pytest.raises(QuantizationError, match="other data"):
        calibrate(*DIGITS, tmp_path / "x.npy", output=tmp_path / "s", resume=True)


def raiser(done, total):
    if done == 4:
        raise Stop


def test_saving_needs_a_place(tmp_path):
    for more in ({"save_every": 2}, {"resume": True}):
        with pytest.raises(ArgumentError, match="output file"):
            calibrate(*CONV, X, **more)
    for more, match in (
        ({"output": tmp_path / "no" / "stats"}, "is no folder"),
        ({"output": tmp_path / "s", "save_every": -1}, "0 or more"),
        ({"batch": 0}, "1 or more"),
        ({"average": 0.0}, "above 0"),
        ({"average": 1.5}, "at most 1"),
    ):
        with pytest.raises(ArgumentError, match=match):
            calibrate(*CONV, X, **more)


CHILD = """
import sys, time
import numpy as np
from serverquant.quantization.calibrate import calibrate

init, predict, data, output = sys.argv[1:]

def batches():
    for i, sample in enumerate(np.load(data)):
        if i == 5:
            print("five", flush=True)
            time.sleep(60)
        yield sample[None]

calibrate(init, predict, batches(), output=output, save_every=2)
"""


@pytest.mark.parametrize(("number", "kept"), [(signal.SIGKILL, 4), (signal.SIGINT, 5)])
def test_a_process_that_is_ended_can_be_resumed(tmp_path, number, kept):
    data, output = images(8), tmp_path / "stats"
    np.save(tmp_path / "x.npy", data)
    words = [sys.executable, "-c", CHILD, *map(str, DIGITS), str(tmp_path / "x.npy"), str(output)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdout.readline() == b"five\n"
        time.sleep(0.2)
        child.send_signal(number)
        assert child.wait(timeout=30) != 0
    assert not output.exists()
    assert Statistics.load(f"{output}.part").samples == kept
    calibrate(*DIGITS, (sample[None] for sample in data), output=output, resume=True)
    assert output.read_bytes() == bytes_of(calibrate(*DIGITS, data))


def test_an_interrupt_waits_for_the_batch(tmp_path):
    """What was counted is whole batches, whenever Ctrl-C comes."""
    output, data = tmp_path / "stats", images(6)

    def interrupt(done, total):
        if done == 3:
            os.kill(os.getpid(), signal.SIGINT)

    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        calibrate(*DIGITS, data, batch=1, output=output, progress=interrupt)
    assert signal.getsignal(signal.SIGINT) is handler
    assert Statistics.load(f"{output}.part").samples == 3
    calibrate(*DIGITS, data, output=output, resume=True)
    assert output.read_bytes() == bytes_of(calibrate(*DIGITS, data))


FULL = """
import resource, signal, sys
from serverquant.quantization.statistics import Statistics

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
found = Statistics.load(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    found.save(sys.argv[1])
except OSError as error:
    sys.exit(f"refused: {error}")
"""


def test_a_full_disk_leaves_the_old_file(tmp_path):
    calibrate(*DIGITS, images(2), output=tmp_path / "stats")
    before = (tmp_path / "stats").read_bytes()
    done = subprocess.run([sys.executable, "-c", FULL, str(tmp_path / "stats")], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("refused: ")
    assert (tmp_path / "stats").read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["stats"]


# ---- memory ---------------------------------------------------------------------------------------------------------

MEMORY = """
import re, sys
import numpy as np
import serverquant

data = np.random.default_rng(0).standard_normal((50, 3, 64, 64), np.float32)
feeds = (data[i % 50 : i % 50 + 1] for i in range(int(sys.argv[3])))
serverquant.calibrate(*sys.argv[1:3], feeds)
print(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1])
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")
def test_memory_does_not_grow_with_the_data():
    folder = NETS / "resnet_eighth"
    peaks = []
    for count in (10, 200):
        words = [sys.executable, "-c", MEMORY, str(folder / "init_net.pb"), str(folder / "predict_net.pb"), str(count)]
        peaks.append(int(subprocess.run(words, capture_output=True, text=True, check=True).stdout))
    assert peaks[1] <= peaks[0] * 1.03


# ---- data that are not right ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_data_that_are_not_finite(value):
    data = X.copy()
    data[3, 1, 2, 2:4] = value
    with pytest.raises(QuantizationError, match='samples 2 to 3 hold 2 values of "x" infinite or NaN'):
        calibrate(*CONV, data, batch=2)


def test_no_data():
    for data in (X[:0], [], iter(())):
        with pytest.raises(QuantizationError, match="no calibration data"):
            calibrate(*CONV, data)


def test_a_net_that_is_int8_already():
    net = NETS / "digits24_int8_fixed"
    with pytest.raises(QuantizationError, match="quantized already"):
        calibrate(net / "init_net.pb", net / "predict_net.pb", images(2))


def warned(net, data):
    with pytest.warns(CalibrationWarning) as caught:
        found = calibrate(*net, data)
    assert serverquant.quantize(*net, statistics=found).recipe["blobs"]
    return [str(warning.message) for warning in caught if warning.category is CalibrationWarning]


def test_doubts(recwarn):
    assert "one sample" in warned(CONV, X[:1])[0]
    assert warned(CONV, np.full_like(X, 3))[0] == 'all calibration data of input "x" are 3'
    assert "like pixels as they are" in warned(CONV, np.abs(X) / np.abs(X).max() * f32(255))[0]
    clip = nets_of([conv("x", "h", "w"), core.CreateOperator("Clip", ["h"], ["y"], min=0.0, max=6.0)], w=W)
    (doubt,) = warned(clip, X * f32(5000))
    assert '99 % of the values that reach Clip "y" are cut off' in doubt
    dead = nets_of([conv("x", "h", "w"), core.CreateOperator("Relu", ["h"], ["y"])], w=-np.abs(W))
    assert 'Relu "y"' in warned(dead, np.abs(X))[0]
    recwarn.clear()
    calibrate(*CONV, X)
    calibrate(*clip, X)
    calibrate(*DIGITS, images(20))
    assert not recwarn.list


@pytest.mark.parametrize("equalization", ["none", "activations"])
def test_a_doubt_is_told_once_and_where_the_user_is(equalization):
    with pytest.warns(CalibrationWarning) as caught:
        serverquant.quantize(*DIGITS, images(1), equalization=equalization)
    (doubt,) = (warning for warning in caught if "one sample" in str(warning.message))
    assert doubt.filename == __file__


@pytest.mark.filterwarnings("error::UserWarning")
def test_what_was_calibrated_is_written_before_doubts_are_told(tmp_path):
    with pytest.raises(CalibrationWarning):
        calibrate(*CONV, X[:1], output=tmp_path / "stats")
    assert [file.name for file in tmp_path.iterdir()] == ["stats"]
