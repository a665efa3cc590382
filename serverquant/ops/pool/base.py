"""What all pools share."""

from __future__ import annotations

from serverquant._base.errors import ArgumentError
from serverquant.blobs.spec import Spec
from serverquant.kernels._window import Window
from serverquant.kernels.pool._pool import Pool
from serverquant.ops._window import read_window, split_dims
from serverquant.runtime.operator import Operator


class PoolOperator(Operator):
    """A pool: the window is read in setup."""

    def setup(self) -> None:
        self.window = read_window(self)
        self.average = "Average" in self.type
        if set(self.window.dilations) != {1}:
            raise ArgumentError(f"a pool takes no dilation, but dilations {list(self.window.dilations)} are given")
        n = self.window.ndim
        for i, pad in enumerate(self.window.pads):
            if pad >= self.window.kernel[i % n] and not self.window.is_global:
                pads, kernel = list(self.window.pads), list(self.window.kernel)
                raise ArgumentError(f"pads {pads} must be smaller than the kernel {kernel}")

    def pool(self, ins: list[Spec]) -> Pool:
        """The kernel's plan."""
        batch, channels, sizes = split_dims(ins[0].dims, self.window.nhwc)
        fit = self.window.fit(sizes)
        window = Window(sizes, fit.kernel, fit.strides, fit.pads, fit.dilations, fit.out_sizes)
        return Pool(window, batch, channels, "NHWC" if self.window.nhwc else "NCHW")
