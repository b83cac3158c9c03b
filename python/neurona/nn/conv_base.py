"""What Conv1d, Conv2d and ConvTranspose2d share: arguments, weight and bias, padding."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..autograd import no_grad
from ..tensor import Tensor
from . import functional as F
from .checks import flag, float_dtype, integer, pair
from .linear import check_bias_init, reset_uniform
from .module import Module
from .parameter import Parameter

PAD_MODES = {
    "zeros": "constant",
    "reflect": "reflect",
    "replicate": "replicate",
    "circular": "circular",
}


class ConvBase(Module):
    """Arguments, weight and bias that all convolutions have."""

    weight: Parameter
    bias: Parameter | None
    kernel_size: Any  # tuples of ints, like stride and dilation, as long as the image has axes
    stride: Any
    dilation: Any
    _sizes: Callable[..., tuple[int, ...]] = staticmethod(pair)
    _axes = "H, W"

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any,
        dilation: Any,
        groups: int,
        bias_init: str,
    ) -> None:
        super().__init__()
        layer = type(self).__name__
        self.in_channels = integer(layer, "in_channels", in_channels, 1)
        self.out_channels = integer(layer, "out_channels", out_channels, 1)
        self.kernel_size = self._sizes(layer, "kernel_size", kernel_size, 1)
        self.stride = self._sizes(layer, "stride", stride, 1)
        self.dilation = self._sizes(layer, "dilation", dilation, 1)
        self.groups = integer(layer, "groups", groups, 1)
        self.bias_init = check_bias_init(layer, bias_init)
        for name, channels in (
            ("in_channels", self.in_channels),
            ("out_channels", self.out_channels),
        ):
            if channels % self.groups:
                raise ValueError(
                    f"{layer}: {name} must be a multiple of groups {self.groups}, got {channels}"
                )

    def _create(
        self, channels: tuple[int, int], bias: bool, device: object, dtype: object, init: Any
    ) -> None:
        layer = type(self).__name__
        kind = float_dtype(layer, device, dtype)
        self.weight = Parameter(np.empty((*channels, *self.kernel_size), kind))
        self.register_parameter(
            "bias", Parameter(np.empty(self.out_channels, kind)) if bias else None
        )
        self._preset = None if init is None else _preset(layer, init, self.weight.shape)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weight and bias anew, uniform in +-1/sqrt(fan_in); a preset weight is put back."""
        reset_uniform(self, math.prod(self.weight.shape[1:]), self.bias_init)
        if self._preset is not None:
            with no_grad():
                self.weight.copy_(Tensor(self._preset.astype(self.weight.dtype)))

    def _expected_input(self, shape: tuple[int, ...]) -> str | None:
        rank = len(self.kernel_size)
        fits = len(shape) in (rank + 1, rank + 2) and shape[-rank - 1] == self.in_channels
        plane = f"{self.in_channels}, {self._axes}"
        return None if fits else f"(N, {plane}) or ({plane})"

    def _common_repr(self) -> str:
        text = f"{self.in_channels}, {self.out_channels}"
        text += f", kernel_size={self.kernel_size}, stride={self.stride}"
        if set(self.dilation) != {1}:
            text += f", dilation={self.dilation}"
        if self.groups != 1:
            text += f", groups={self.groups}"
        return text if self.bias is not None else text + ", bias=False"


def _preset(layer: str, init: Any, shape: tuple[int, ...]) -> np.ndarray:
    if not isinstance(init, np.ndarray | Tensor):
        raise TypeError(f"{layer}: init must be an ndarray or a Tensor, got {type(init).__name__}")
    values = np.array(init.data if isinstance(init, Tensor) else init)
    if values.dtype.kind not in "fiu":
        raise TypeError(f"{layer}: init must hold real numbers, got dtype {values.dtype}")
    if values.shape != tuple(shape):
        raise ValueError(
            f"{layer}: init must have the shape of the weight {tuple(shape)}, got {values.shape}"
        )
    return values


class Conv(ConvBase):
    """The convolutions that are no transposed ones: padding by number or name, and its modes."""

    _convolve: Callable[..., Tensor]

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any,
        padding: Any,
        dilation: Any,
        groups: int,
        bias: bool,
        padding_mode: str,
        device: object,
        dtype: object,
        strict: bool,
        init: Any,
        bias_init: str,
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, stride, dilation, groups, bias_init
        )
        layer = type(self).__name__
        if padding_mode not in PAD_MODES:
            raise ValueError(
                f"{layer}: padding_mode must be one of {', '.join(PAD_MODES)}, got {padding_mode!r}"
            )
        if isinstance(padding, str):
            if padding not in ("same", "valid"):
                raise ValueError(
                    f"{layer}: padding must be 'same', 'valid', an int or a pair, got {padding!r}"
                )
            if padding == "same" and set(self.stride) != {1}:
                raise ValueError(f"{layer}: padding 'same' needs stride 1, got {self.stride}")
            self.padding: str | tuple[int, ...] = padding
        else:
            self.padding = self._sizes(layer, "padding", padding, 0)
        self.padding_mode = padding_mode
        self.strict = flag(layer, "strict", strict)
        # What the kernel pads per axis, and what F.pad adds before it, (left, right, top, bottom).
        self._kernel_padding, self._extra_padding = self._split_padding()
        channels = (self.out_channels, self.in_channels // self.groups)
        self._create(channels, bias, device, dtype, init)

    def _split_padding(self) -> tuple[tuple[int, ...], tuple[int, ...] | None]:
        none = (0,) * len(self.kernel_size)
        if self.padding == "valid":
            return none, None
        if isinstance(self.padding, str):
            total = [d * (k - 1) for d, k in zip(self.dilation, self.kernel_size, strict=True)]
            before = tuple(t // 2 for t in total)
            after = tuple(t - b for t, b in zip(total, before, strict=True))
        else:
            before = after = self.padding
        if self.padding_mode == "zeros" and before == after:
            return before, None
        if not any(after):
            return none, None
        pairs = list(zip(before, after, strict=True))
        return none, tuple(width for both in reversed(pairs) for width in both)

    def forward(self, input: Tensor) -> Tensor:
        """x (N, C, ...) -> y (N, K, ...)."""
        return self.forward_fused(input, None)

    def forward_fused(self, input: Tensor, activation: str | None) -> Tensor:
        """`forward` and an activation in one pass of the kernel."""
        if self._extra_padding is not None:
            input = F.pad(input, self._extra_padding, PAD_MODES[self.padding_mode])
        return type(self)._convolve(
            input,
            self.weight,
            self.bias,
            self.stride,
            self._kernel_padding,
            self.dilation,
            self.groups,
            activation=activation,
            strict=self.strict,
        )

    def extra_repr(self) -> str:
        text = self._common_repr()
        if isinstance(self.padding, str) or any(self.padding):
            text += f", padding={self.padding!r}"
        if self.padding_mode != "zeros":
            text += f", padding_mode={self.padding_mode!r}"
        return text + (", strict=True" if self.strict else "")
