"""Conv1d, Conv2d and ConvTranspose2d.

Shapes are (N, C, H, W) or (N, C, L); K output channels, R x S kernel, P x Q output size. Memory is
channels-last and only the kernels care.
"""

from __future__ import annotations

from typing import Any

from ..tensor import Tensor
from . import functional as F
from .checks import pair, single
from .conv_base import Conv, ConvBase

Pair = int | tuple[int, int]


class Conv2d(Conv):
    """2-D convolution (cross-correlation) y = x * W + b.

    x (N, C, H, W) or (C, H, W), W (K, C/groups, R, S), b (K,), y (N, K, P, Q) with P = floor((H + 2
    padding - dilation (R - 1) - 1) / stride) + 1, and Q alike. `padding` is an int, a pair, "valid"
    (none) or "same" (P = H; stride 1 only; an odd pixel goes to the end). `padding_mode` is
    "zeros", "reflect", "replicate" or "circular". W and b start uniform in +-1/sqrt(C/groups R S);
    `init`, an array of W's shape, presets W, and `bias_init="zeros"` starts b at 0. With `strict` a
    stride that leaves a remainder is refused.

    Raises ValueError for channels that do not fit groups, for "same" with a stride, and for an
    input that does not fit.

    >>> import neurona
    >>> from neurona import nn
    >>> nn.Conv2d(1, 6, 5, padding=2)(neurona.zeros(8, 1, 28, 28)).shape
    (8, 6, 28, 28)
    """

    _convolve = staticmethod(F.conv2d)

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
        *,
        strict: bool = False,
        init: Any = None,
        bias_init: str = "uniform",
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            groups,
            bias,
            padding_mode,
            device,
            dtype,
            strict,
            init,
            bias_init,
        )


class Conv1d(Conv):
    """1-D convolution (cross-correlation) y = x * W + b, as Conv2d over images of height 1.

    x (N, C, L) or (C, L), W (K, C/groups, S), b (K,), y (N, K, Q) with Q = floor((L + 2 padding -
    dilation (S - 1) - 1) / stride) + 1. Arguments and errors are those of `Conv2d`.

    >>> import neurona
    >>> from neurona import nn
    >>> nn.Conv1d(2, 6, 5, padding="same")(neurona.zeros(8, 2, 100)).shape
    (8, 6, 100)
    """

    _convolve = staticmethod(F.conv1d)
    _sizes = staticmethod(single)
    _axes = "L"

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int],
        stride: int | tuple[int] = 1,
        padding: str | int | tuple[int] = 0,
        dilation: int | tuple[int] = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: object = None,
        dtype: object = None,
        *,
        strict: bool = False,
        init: Any = None,
        bias_init: str = "uniform",
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            groups,
            bias,
            padding_mode,
            device,
            dtype,
            strict,
            init,
            bias_init,
        )


class ConvTranspose2d(ConvBase):
    """Transposed 2-D convolution: the gradient of a convolution with respect to its input, used to
    enlarge maps.

    x (N, C, H, W) or (C, H, W), W (C, K/groups, R, S), b (K,), y (N, K, P, Q) with P = (H - 1)
    stride - 2 padding + dilation (R - 1) + output_padding + 1, and Q alike. `output_padding` must
    be below max(stride, dilation). `forward(x, output_size)` finds the output_padding that gives P
    x Q. `init` and `bias_init` are those of `Conv2d`.

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
        *,
        init: Any = None,
        bias_init: str = "uniform",
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, stride, dilation, groups, bias_init
        )
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
        channels = (self.in_channels, self.out_channels // self.groups)
        self._create(channels, bias, device, dtype, init)

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
