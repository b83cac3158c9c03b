"""Pooling layers over (N, C, H, W) or (C, H, W); the output has P x Q pixels per plane."""

from __future__ import annotations

from typing import Any

from ..tensor import Tensor
from . import functional as F
from .checks import flag, integer, pair
from .module import Module

Pair = int | tuple[int, int]


class _Window(Module):
    """Kernel, stride and padding, which all pooling layers but the adaptive ones have."""

    def __init__(
        self, kernel_size: Pair, stride: Pair | None, padding: Pair, ceil_mode: bool
    ) -> None:
        super().__init__()
        layer = type(self).__name__
        self.kernel_size = pair(layer, "kernel_size", kernel_size, 1)
        self.stride = self.kernel_size if stride is None else pair(layer, "stride", stride, 1)
        self.padding = pair(layer, "padding", padding, 0)
        self.ceil_mode = flag(layer, "ceil_mode", ceil_mode)

    def _check_padding(self, dilation: tuple[int, int]) -> None:
        """A window that lies in the padding altogether has no value."""
        extent = tuple(d * (k - 1) + 1 for d, k in zip(dilation, self.kernel_size, strict=True))
        if any(2 * p > e for p, e in zip(self.padding, extent, strict=True)):
            raise ValueError(
                f"{type(self).__name__}: padding must be at most half of the kernel's extent "
                f"{extent}, got {self.padding}"
            )

    def _expected_input(self, shape: tuple[int, ...]) -> str | None:
        return None if len(shape) in (3, 4) else "(N, C, H, W) or (C, H, W)"

    def extra_repr(self) -> str:
        text = f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"
        return text + (", ceil_mode=True" if self.ceil_mode else "")


class _Extreme(_Window):
    def __init__(
        self,
        kernel_size: Pair,
        stride: Pair | None = None,
        padding: Pair = 0,
        dilation: Pair = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__(kernel_size, stride, padding, ceil_mode)
        self.dilation = pair(type(self).__name__, "dilation", dilation, 1)
        self._check_padding(self.dilation)
        self.return_indices = flag(type(self).__name__, "return_indices", return_indices)

    def extra_repr(self) -> str:
        return super().extra_repr() + (
            "" if self.dilation == (1, 1) else f", dilation={self.dilation}"
        )


class MaxPool2d(_Extreme):
    """The largest value of each window; padding never wins, the first of equals does, NaN always
    does.

    P = floor((H + 2 padding - dilation (R - 1) - 1) / stride) + 1 (ceil with `ceil_mode`, where a
    window that would start in the padding at the end is dropped); stride defaults to kernel_size.
    With `return_indices` the result is (values, int64 positions, flat in each H*W plane).

    >>> import neurona
    >>> from neurona import nn
    >>> nn.MaxPool2d(2)(neurona.zeros(1, 6, 28, 28)).shape
    (1, 6, 14, 14)
    """

    def forward(self, input: Tensor) -> Any:
        """x (N, C, H, W) -> y (N, C, P, Q), or (y, indices)."""
        return F.max_pool2d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.dilation,
            ceil_mode=self.ceil_mode,
            return_indices=self.return_indices,
        )


class MinPool2d(_Extreme):
    """The smallest value of each window: MaxPool2d with the sign turned, same arguments and output
    size.

    >>> import neurona
    >>> from neurona import nn
    >>> nn.MinPool2d(2)(neurona.arange(16, dtype=neurona.float32).reshape(1, 4, 4)).numpy().tolist()
    [[[0.0, 2.0], [8.0, 10.0]]]
    """

    def forward(self, input: Tensor) -> Any:
        """x (N, C, H, W) -> y (N, C, P, Q), or (y, indices)."""
        return F.min_pool2d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.dilation,
            ceil_mode=self.ceil_mode,
            return_indices=self.return_indices,
        )


class AvgPool2d(_Window):
    """The mean of each window; padded zeros count in the divisor unless `count_include_pad=False`.

    P = floor((H + 2 padding - R) / stride) + 1 (ceil with `ceil_mode`); `divisor_override` replaces
    the divisor.

    >>> import neurona
    >>> from neurona import nn
    >>> nn.AvgPool2d(2, stride=1)(neurona.zeros(1, 6, 28, 28)).shape
    (1, 6, 27, 27)
    """

    def __init__(
        self,
        kernel_size: Pair,
        stride: Pair | None = None,
        padding: Pair = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__(kernel_size, stride, padding, ceil_mode)
        self._check_padding((1, 1))
        self.count_include_pad = flag("AvgPool2d", "count_include_pad", count_include_pad)
        self.divisor_override = (
            None
            if divisor_override is None
            else integer("AvgPool2d", "divisor_override", divisor_override, 1)
        )

    def forward(self, input: Tensor) -> Tensor:
        """x (N, C, H, W) -> y (N, C, P, Q)."""
        return F.avg_pool2d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )


class _Adaptive(Module):
    """An output size in place of a window."""

    def __init__(self, output_size: int | None | tuple[int | None, int | None]) -> None:
        super().__init__()
        layer = type(self).__name__
        sizes = output_size if isinstance(output_size, tuple | list) else (output_size, output_size)
        if len(sizes) != 2:
            raise ValueError(f"{layer}: output_size must be an int or a pair, got {output_size!r}")
        self.output_size = tuple(
            None if size is None else integer(layer, "output_size", size, 1) for size in sizes
        )

    def _expected_input(self, shape: tuple[int, ...]) -> str | None:
        return None if len(shape) in (3, 4) else "(N, C, H, W) or (C, H, W)"

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveAvgPool2d(_Adaptive):
    """Mean over a grid of `output_size` windows, whatever the input size: window i covers floor(i H
    / P) to ceil((i + 1) H / P).

    `output_size` is an int, a pair, or None in a place where the input size is to be kept.

    >>> import neurona
    >>> from neurona import nn
    >>> nn.AdaptiveAvgPool2d(1)(neurona.zeros(2, 512, 7, 9)).shape
    (2, 512, 1, 1)
    """

    def forward(self, input: Tensor) -> Tensor:
        """x (N, C, H, W) -> y (N, C, P, Q)."""
        return F.adaptive_avg_pool2d(input, self.output_size)


class AdaptiveMaxPool2d(_Adaptive):
    """The largest value of each of the windows of `AdaptiveAvgPool2d`.

    With `return_indices` the result is (values, int64 positions, flat in each H*W plane).

    >>> import neurona
    >>> from neurona import nn
    >>> nn.AdaptiveMaxPool2d((None, 2))(neurona.zeros(2, 512, 7, 9)).shape
    (2, 512, 7, 2)
    """

    def __init__(
        self,
        output_size: int | None | tuple[int | None, int | None],
        return_indices: bool = False,
    ) -> None:
        super().__init__(output_size)
        self.return_indices = flag("AdaptiveMaxPool2d", "return_indices", return_indices)

    def forward(self, input: Tensor) -> Any:
        """x (N, C, H, W) -> y (N, C, P, Q), or (y, indices)."""
        return F.adaptive_max_pool2d(input, self.output_size, self.return_indices)
