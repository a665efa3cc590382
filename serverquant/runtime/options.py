"""Process-wide options, by name: `serverquant.options.caffe2_defects = "fix"`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Options:
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
