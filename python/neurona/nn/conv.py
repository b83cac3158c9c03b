"""Conv2d and ConvTranspose2d.

Shapes are (N, C, H, W); K output channels, R x S kernel, P x Q output size. Memory is channels-last
and only the kernels care.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..tensor import Tensor
from . import functional as F
from .checks import float_dtype, integer, pair
from .linear import reset_uniform
from .module import Module
from .parameter import Parameter

Pair = int | tuple[int, int]
_PAD_MODES = {
    "zeros": "constant",
    "reflect": "reflect",
    "replicate": "replicate",
    "circular": "circular",
}


class _ConvBase(Module):
    """Arguments, weight and bias that both convolutions have."""

    weight: Parameter
    bias: Parameter | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Pair,
        stride: Pair,
        dilation: Pair,
        groups: int,
    ) -> None:
        super().__init__()
        layer = type(self).__name__
        self.in_channels = integer(layer, "in_channels", in_channels, 1)
        self.out_channels = integer(layer, "out_channels", out_channels, 1)
        self.kernel_size = pair(layer, "kernel_size", kernel_size, 1)
        self.stride = pair(layer, "stride", stride, 1)
        self.dilation = pair(layer, "dilation", dilation, 1)
        self.groups = integer(layer, "groups", groups, 1)
        for name, channels in (
            ("in_channels", self.in_channels),
            ("out_channels", self.out_channels),
        ):
            if channels % self.groups:
                raise ValueError(
                    f"{layer}: {name} must be a multiple of groups {self.groups}, got {channels}"
                )

    def _create(
        self, weight_shape: tuple[int, int], bias: bool, device: object, dtype: object
    ) -> None:
        kind = float_dtype(type(self).__name__, device, dtype)
        self.weight = Parameter(np.empty((*weight_shape, *self.kernel_size), kind))
        self.register_parameter(
            "bias", Parameter(np.empty(self.out_channels, kind)) if bias else None
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weight and bias anew, uniform in +-1/sqrt(weight.shape[1] * R * S)."""
        shape = self.weight.shape
        reset_uniform(self, shape[1] * shape[2] * shape[3])

    def _expected_input(self, shape: tuple[int, ...]) -> str | None:
        fits = len(shape) in (3, 4) and shape[-3] == self.in_channels
        return None if fits else f"(N, {self.in_channels}, H, W) or ({self.in_channels}, H, W)"

    def _common_repr(self) -> str:
        text = f"{self.in_channels}, {self.out_channels}"
        text += f", kernel_size={self.kernel_size}, stride={self.stride}"
        if self.dilation != (1, 1):
            text += f", dilation={self.dilation}"
        if self.groups != 1:
            text += f", groups={self.groups}"
        return text if self.bias is not None else text + ", bias=False"


class Conv2d(_ConvBase):
    """2-D convolution (cross-correlation) y = x * W + b.

    x (N, C, H, W) or (C, H, W), W (K, C/groups, R, S), b (K,), y (N, K, P, Q) with P = floor((H + 2
    padding - dilation (R - 1) - 1) / stride) + 1, and Q alike. `padding` is an int, a pair, "valid"
    (none) or "same" (P = H; stride 1 only; an odd pixel goes to the end). `padding_mode` is
    "zeros", "reflect", "replicate" or "circular". W and b start uniform in +-1/sqrt(C/groups R S).

    Raises ValueError for channels that do not fit groups, for "same" with a stride, and for an
    input that does not fit.

    >>> import neurona
    >>> from neurona import nn
    >>> nn.Conv2d(1, 6, 5, padding=2)(neurona.zeros(8, 1, 28, 28)).shape
    (8, 6, 28, 28)
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Pair,
        stride: Pair = 1,
        padding: str | Pair = 0,
        dilation: Pair = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: object = None,
        dtype: object = None,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, dilation, groups)
        if padding_mode not in _PAD_MODES:
            raise ValueError(
                f"Conv2d: padding_mode must be one of {', '.join(_PAD_MODES)}, got {padding_mode!r}"
            )
        if isinstance(padding, str):
            if padding not in ("same", "valid"):
                raise ValueError(
                    f"Conv2d: padding must be 'same', 'valid', an int or a pair, got {padding!r}"
                )
            if padding == "same" and self.stride != (1, 1):
                raise ValueError(f"Conv2d: padding 'same' needs stride 1, got {self.stride}")
            self.padding: str | tuple[int, int] = padding
        else:
            self.padding = pair("Conv2d", "padding", padding, 0)
        self.padding_mode = padding_mode
        # What the kernel pads, (height, width), and what F.pad adds before it, (left, right, top,
        # bottom).
        self._kernel_padding, self._extra_padding = self._split_padding()
        self._create((self.out_channels, self.in_channels // self.groups), bias, device, dtype)

    def _split_padding(self) -> tuple[tuple[int, int], tuple[int, int, int, int] | None]:
        if self.padding == "valid":
            return (0, 0), None
        if isinstance(self.padding, str):
            total = [d * (k - 1) for d, k in zip(self.dilation, self.kernel_size, strict=True)]
            top, left = total[0] // 2, total[1] // 2
            bottom, right = total[0] - top, total[1] - left
        else:
            top, left = bottom, right = self.padding
        if self.padding_mode == "zeros" and (top, left) == (bottom, right):
            return (top, left), None
        if (left, right, top, bottom) == (0, 0, 0, 0):
            return (0, 0), None
        return (0, 0), (left, right, top, bottom)

    def forward(self, input: Tensor) -> Tensor:
        """x (N, C, H, W) -> y (N, K, P, Q)."""
        return self.forward_fused(input, None)

    def forward_fused(self, input: Tensor, activation: str | None) -> Tensor:
        """`forward` and an activation in one pass of the kernel."""
        if self._extra_padding is not None:
            input = F.pad(input, self._extra_padding, _PAD_MODES[self.padding_mode])
        return F.conv2d(
            input,
            self.weight,
            self.bias,
            self.stride,
            self._kernel_padding,
            self.dilation,
            self.groups,
            activation=activation,
        )

    def extra_repr(self) -> str:
        text = self._common_repr()
        if self.padding != (0, 0):
            text += f", padding={self.padding!r}"
        return (
            text if self.padding_mode == "zeros" else text + f", padding_mode={self.padding_mode!r}"
        )


class ConvTranspose2d(_ConvBase):
    """Transposed 2-D convolution: the gradient of a convolution with respect to its input, used to
    enlarge maps.

    x (N, C, H, W) or (C, H, W), W (C, K/groups, R, S), b (K,), y (N, K, P, Q) with P = (H - 1)
    stride - 2 padding + dilation (R - 1) + output_padding + 1, and Q alike. `output_padding` must
    be below max(stride, dilation). `forward(x, output_size)` finds the output_padding that gives P
    x Q.

    >>> import neurona
    >>> from neurona import nn
    >>> up = nn.ConvTranspose2d(16, 8, 3, stride=2, padding=1)
    >>> x = neurona.zeros(1, 16, 7, 7)
    >>> up(x).shape, up(x, output_size=(14, 14)).shape
    ((1, 8, 13, 13), (1, 8, 14, 14))
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Pair,
        stride: Pair = 1,
        padding: Pair = 0,
        output_padding: Pair = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Pair = 1,
        padding_mode: str = "zeros",
        device: object = None,
        dtype: object = None,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, dilation, groups)
        if padding_mode != "zeros":
            raise ValueError(f"ConvTranspose2d: padding_mode must be 'zeros', got {padding_mode!r}")
        self.padding = pair("ConvTranspose2d", "padding", padding, 0)
        self.output_padding = pair("ConvTranspose2d", "output_padding", output_padding, 0)
        for extra, stride_, dilation_ in zip(
            self.output_padding, self.stride, self.dilation, strict=True
        ):
            if extra >= max(stride_, dilation_):
                raise ValueError(
                    "ConvTranspose2d: output_padding must be smaller than max(stride, dilation) "
                    f"{max(stride_, dilation_)}, got {self.output_padding}"
                )
        self.padding_mode = padding_mode
        self._create((self.in_channels, self.out_channels // self.groups), bias, device, dtype)

    def forward(self, input: Tensor, output_size: Any = None) -> Tensor:
        """x (N, C, H, W) -> y (N, K, P, Q); `output_size` is (P, Q) or the whole output shape."""
        extra = (
            self.output_padding
            if output_size is None
            else self._padding_for(input.shape, output_size)
        )
        return F.conv_transpose2d(
            input,
            self.weight,
            self.bias,
            self.stride,
            self.padding,
            extra,
            self.groups,
            self.dilation,
        )

    def _padding_for(self, shape: tuple[int, ...], output_size: Any) -> tuple[int, int]:
        wanted = pair("ConvTranspose2d", "output_size", tuple(output_size)[-2:], 1)
        extra = []
        for axis in (0, 1):
            stride, dilation = self.stride[axis], self.dilation[axis]
            low = (
                (shape[axis - 2] - 1) * stride
                - 2 * self.padding[axis]
                + dilation * (self.kernel_size[axis] - 1)
                + 1
            )
            high = low + max(stride, dilation) - 1
            if not low <= wanted[axis] <= high:
                name = ("height", "width")[axis]
                raise ValueError(
                    f"output_size {name} must be in [{low}, {high}], got {wanted[axis]}"
                )
            extra.append(wanted[axis] - low)
        return extra[0], extra[1]

    def extra_repr(self) -> str:
        text = self._common_repr()
        if self.padding != (0, 0):
            text += f", padding={self.padding}"
        return (
            text
            if self.output_padding == (0, 0)
            else text + f", output_padding={self.output_padding}"
        )
