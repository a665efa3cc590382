"""Caffe2's flags of engine DNNLOWP against options of the same names: a Caffe2 process for each setting."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
import run
from peers import real_caffe2
from test_oracle import Oracle, corpus, has_strings

from serverquant import options, workspace
from serverquant.runtime.options import FLAGS

pytestmark = pytest.mark.oracle
ALL, WEIGHTS = "dnnlowp|^(fc|conv)_(static|dynamic)", "^(fc|conv)_(float_weight|packed)"
P99 = "weight_quantization_kind=p99"
SETTINGS = [
    (["activation_quantization_precision=6"],
     "(add|sum|mul|concat|average_pool|matmul|spatial_bn)_dnnlowp|^(fc|conv)_static"),
    (["weight_quantization_precision=5"], "^(fc|conv)_float_weight"),
    (["eltwise_quantization_precision=10"], "(add|sum)_dnnlowp"),
    (["requantization_multiplier_precision=8"], "group_norm_dnnlowp|^(fc|conv)_static"),
    (["preserve_activation_sparsity=1"], "dnnlowp"),
    (["preserve_weight_sparsity=1"], WEIGHTS),
    (["force_scale_power_of_two=1"], ALL),
    (["force_scale_power_of_two=1", P99], WEIGHTS),
    (["activation_p99_threshold=0.8", P99], WEIGHTS),
    (["weight_p99_threshold=0.8", P99], WEIGHTS),
    *(([name], ALL) for name in ("activation_quantization_kind=p99", "nbits_in_non_outlier=4",
      "copy_to_32bit_frequency=1", "acc16_density_threshold=0", "acc16_m_threshold=100000",
      "enforce_default_operators=1", "shared_int32_buffer=1")),
]
CASES = 60


@pytest.fixture
def restored() -> Iterator[None]:
    before = {name: getattr(options, name) for name in FLAGS}
    yield
    for name, value in before.items():
        setattr(options, name, value)


@pytest.mark.parametrize(("flags", "families"), SETTINGS, ids=[",".join(flags) for flags, _ in SETTINGS])
def test_flags(flags: list[str], families: str, restored: None) -> None:
    line = [f"--caffe2_dnnlowp_{flag}" for flag in flags]
    workspace.GlobalInit(["", *line])
    cases = [case for case in run.chosen(families) if not case.error and not has_strings(case)]
    oracle, wrong, answered = Oracle(), [], 0
    for case in random.Random(1).sample(cases, min(CASES, len(cases))):
        oracle.process = oracle.process or real_caffe2.Caffe2(1, line)
        try:
            answers = oracle.run(case)
        except RuntimeError:  # p99 of values far from zero takes all memory
            continue
        answered += 1
        for want, got in zip(answers, run.run_steps(case), strict=True):
            for name, value in want.items():
                if why := corpus.compare(value, got[name], case.compare[name]):
                    wrong.append(f"{case.id} {name}: {why}")
    oracle.close()
    assert not wrong
    assert answered > len(cases[:CASES]) // 2
