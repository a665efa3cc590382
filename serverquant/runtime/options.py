"""Process-wide options, by name: `serverquant.options.caffe2_defects = "fix"`."""

from __future__ import annotations

from dataclasses import dataclass, fields

from serverquant._base.errors import ArgumentError

_TRUTHS = {"true": True, "1": True, "false": False, "0": False}


@dataclass
class DnnlowpFlags:
    """Caffe2's flags of engine DNNLOWP, by their names; `GlobalInit(["", "--NAME=VALUE"])` sets them too.

    The first group stands in for arguments of (nearly) those names where a net does not give them, and is read when a
    net is created. docs/options.md says what each does, and why operators read none of the second group.
    """

    caffe2_dnnlowp_activation_quantization_precision: int = 8
    caffe2_dnnlowp_weight_quantization_precision: int = 8
    caffe2_dnnlowp_eltwise_quantization_precision: int = 16
    caffe2_dnnlowp_requantization_multiplier_precision: int = 32
    caffe2_dnnlowp_preserve_activation_sparsity: bool = False
    caffe2_dnnlowp_preserve_weight_sparsity: bool = False
    caffe2_dnnlowp_force_scale_power_of_two: bool = False
    caffe2_dnnlowp_weight_quantization_kind: str = "min_max"
    caffe2_dnnlowp_activation_p99_threshold: float = 0.99

    caffe2_dnnlowp_weight_p99_threshold: float = 0.99
    caffe2_dnnlowp_activation_quantization_kind: str = "min_max"
    caffe2_dnnlowp_nbits_in_non_outlier: int = 8
    caffe2_dnnlowp_copy_to_32bit_frequency: int = 32
    caffe2_dnnlowp_acc16_density_threshold: float = 0.05
    caffe2_dnnlowp_acc16_m_threshold: int = 0
    caffe2_dnnlowp_acc16_n_threshold: int = 0
    caffe2_dnnlowp_acc16_k_threshold: int = 0
    caffe2_dnnlowp_force_slow_path: bool = False
    caffe2_dnnlowp_enforce_default_operators: bool = False
    caffe2_dnnlowp_shared_int32_buffer: bool = False
    caffe2_dnnlowp_dump_tensors: bool = False


FLAGS = tuple(field.name for field in fields(DnnlowpFlags))


def flag_value(name: str, text: str) -> bool | int | float | str:
    """What `text` on a command line means for a flag of FLAGS; ArgumentError when it means nothing."""
    kind = type(getattr(DnnlowpFlags, name))
    try:
        return _TRUTHS[text.lower()] if kind is bool else kind(text)
    except (KeyError, ValueError):
        wanted = {bool: "true or false", int: "a whole number", float: "a number"}[kind]
        raise ArgumentError(f'flag --{name} is "{text}"; it must be {wanted}') from None


@dataclass
class Options(DnnlowpFlags):
    """Settings that change what operators compute, or how nets run.

    caffe2_defects: "keep" (default) computes what Caffe2 computes where it is wrong but deterministic (see
        docs/numerics.md); "fix" computes what it should. Read when a net is created.
    engines: preferred engines for all operators, tried after those that an operator names.
    type_engines: preferred engines of a type, tried before `engines`.
    plans_kept: plans of different input shapes that a net keeps.
    fp_exceptions: nets created from now on run one operator at a time, and one that makes an infinity or NaN of numbers
        is an error; slow, to find out where they come from.
    trust_pickled_operators: create Python operators whose function a net from elsewhere brings along, pickled; that
        runs code of the net's author.
    max_loop_iterations: rounds after which a While is an error; 0: none.
    caffe2_dnnlowp_...: Caffe2's flags, see DnnlowpFlags.
    """

    caffe2_defects: str = "keep"
    engines: tuple[str, ...] = ()
    type_engines: dict[str, tuple[str, ...]] | None = None
    plans_kept: int = 8
    fp_exceptions: bool = False
    trust_pickled_operators: bool = False
    max_loop_iterations: int = 1_000_000

    @property
    def fixes_defects(self) -> bool:
        return self.caffe2_defects == "fix"


options = Options()
