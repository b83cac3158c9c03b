"""Pooling layers over (N, C, L) or (C, L)."""

from __future__ import annotations

from typing import Any

from ..tensor import Tensor
from . import functional as F
from .checks import flag, single
from .module import Module

Single = int | tuple[int]


class _Window(Module):
    """Kernel, stride and padding, each a tuple of one."""

    def __init__(
        self, kernel_size: Single, stride: Single | None, padding: Single, ceil_mode: bool
    ) -> None:
        super().__init__()
        layer = type(self).__name__
        self.kernel_size = single(layer, "kernel_size", kernel_size, 1)
        self.stride = self.kernel_size if stride is None else single(layer, "stride", stride, 1)
        self.padding = single(layer, "padding", padding, 0)
        self.ceil_mode = flag(layer, "ceil_mode", ceil_mode)

    def _expected_input(self, shape: tuple[int, ...]) -> str | None:
        return None if len(shape) in (2, 3) else "(N, C, L) or (C, L)"

    def extra_repr(self) -> str:
        text = f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"
        return text + (", ceil_mode=True" if self.ceil_mode else "")


class MaxPool1d(_Window):
    """The largest value of each window, as `MaxPool2d` over images of height 1.

    Q = floor((L + 2 padding - dilation (kernel_size - 1) - 1) / stride) + 1, rounded up with
    `ceil_mode`; stride defaults to kernel_size. With `return_indices` the result is (values, int64
    positions).

    >>> import neurona
    >>> from neurona import nn
    >>> nn.MaxPool1d(2)(neurona.zeros(1, 6, 28)).shape
    (1, 6, 14)
    """

    def __init__(
        self,
        kernel_size: Single,
        stride: Single | None = None,
        padding: Single = 0,
        dilation: Single = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__(kernel_size, stride, padding, ceil_mode)
        self.dilation = single("MaxPool1d", "dilation", dilation, 1)
        self.return_indices = flag("MaxPool1d", "return_indices", return_indices)

    def forward(self, input: Tensor) -> Any:
        """x (N, C, L) -> y (N, C, Q), or (y, indices)."""
        return F.max_pool1d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.dilation,
            self.ceil_mode,
            self.return_indices,
        )


class AvgPool1d(_Window):
    """The mean of each window, as `AvgPool2d` over images of height 1.

    Q = floor((L + 2 padding - kernel_size) / stride) + 1, rounded up with `ceil_mode`; padded zeros
    count in the divisor unless `count_include_pad=False`.

    >>> import neurona
    >>> from neurona import nn
    >>> nn.AvgPool1d(2, stride=1)(neurona.zeros(1, 6, 28)).shape
    (1, 6, 27)
    """

    def __init__(
        self,
        kernel_size: Single,
        stride: Single | None = None,
        padding: Single = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__(kernel_size, stride, padding, ceil_mode)
        self.count_include_pad = flag("AvgPool1d", "count_include_pad", count_include_pad)

    def forward(self, input: Tensor) -> Tensor:
        """x (N, C, L) -> y (N, C, Q)."""
        return F.avg_pool1d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
        )
