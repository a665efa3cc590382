"""Random operators end in success or in a ServerquantError that names the place; never in anything else.

SERVERQUANT_FUZZ: how many trials (10,000); SERVERQUANT_FUZZ_FIRST: number of the first one of each type (0). `make
fuzz` runs many more.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import watch
from trials import golden, trial

import serverquant.ops  # noqa: F401 - makes the built-in operators known

TRIALS = int(os.environ.get("SERVERQUANT_FUZZ", "10000"))
FIRST = int(os.environ.get("SERVERQUANT_FUZZ_FIRST", "0"))


def test_random_operators():
    types = watch.drawable()
    found = watch.findings(watch.names(types, FIRST, -(-TRIALS // len(types))))
    assert not found, watch.report(found)


def test_a_trial_is_the_same_every_time():
    for op_type in ("Conv", "Int8FC", "Relu"):
        assert golden(op_type)
        for number in range(6):
            assert str(trial(f"{op_type}/{number}")) == str(trial(f"{op_type}/{number}"))
    assert str(trial("Relu/1")) != str(trial("Relu/3"))


FAULTS = """
import ctypes, time
import numpy as np
import child, trials
from serverquant.runtime.operator import PythonOperator
from serverquant.runtime.registry import register
from serverquant.runtime.schema import same_as_first
from serverquant._base.errors import ShapeError

class Fault(PythonOperator):
    def run(self, inputs, outputs):
        outputs[0] = np.zeros(1)

@register("Fine", inputs=0, outputs=1)
class Fine(Fault):
    pass

@register("Refuses", inputs=0, outputs=1)
class Refuses(Fault):
    def setup(self):
        raise ShapeError("on purpose")

@register("Crashes", inputs=0, outputs=1)
class Crashes(Fault):
    def run(self, inputs, outputs):
        ctypes.string_at(0)

@register("Hangs", inputs=0, outputs=1)
class Hangs(Fault):
    def run(self, inputs, outputs):
        time.sleep(60)

@register("Stumbles", inputs=0, outputs=1)
class Stumbles(Fault):
    def run(self, inputs, outputs):
        outputs[7]

@register("Raises", inputs=0, outputs=1)
class Raises(Fault):
    def setup(self):
        raise KeyError("on no purpose")

@register("Devours", inputs=0, outputs=1)
class Devours(Fault):
    def run(self, inputs, outputs):
        outputs[0] = np.ones(100 << 20, np.uint8)  # well past what importing took and gave back

child.SECONDS, child.GROWTH = 4, 20 << 20
child.main(*child.sys.argv[1:])
"""


@pytest.mark.parametrize(
    ("op_type", "says"),
    [
        ("Crashes", "ended with -11"),
        ("Hangs", "Timeout"),
        ("Stumbles", "an accident, not a check: Stumbles (op 0"),
        ("Raises", "KeyError"),
        ("Devours", "bytes"),
    ],
)
def test_faults_are_found(op_type, says, tmp_path):
    """A finding names its trial, and those around it are run."""
    script = tmp_path / "faults.py"
    here = Path(__file__).parent
    script.write_text(f"import sys\nsys.path[:0] = [{str(here)!r}, {str(here.parent / 'golden')!r}]\n{FAULTS}")
    found = watch.findings(["Fine/1", f"{op_type}/5", "Refuses/1", "Stumbles/3"], workers=1, child=script)
    assert [name for name, _ in found] == sorted([f"{op_type}/5", "Stumbles/3"])
    assert says in dict(found)[f"{op_type}/5"]
