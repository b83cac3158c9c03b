"""conv1d, conv2d and conv_transpose2d: images (N, C, H, W), or one image (C, H, W)."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...autograd import mode
from ...functions.conv2d import Conv2d, Conv2dReluMaxPool2d, ConvTranspose2d
from ...functions.pad import PadConstant
from ...tensor import Tensor
from ...tensor.base import apply
from ._arguments import Pair, as_tensor, int_single, unbatched
from .activation import after
from .linear import NEED_INPUT
from .sizes import output_size


def _both(value: Any) -> tuple[Any, Any]:
    return tuple(value) if isinstance(value, (tuple, list)) else (value, value)


def _named_padding(
    x: Tensor, weight: Tensor, stride: Pair, padding: str, dilation: Pair
) -> tuple[Tensor, Pair]:
    """What "valid" and "same" mean as a number, with the odd pixel at the end padded already."""
    if padding == "valid":
        return x, 0
    if padding != "same":
        raise ValueError(
            f"conv2d: padding must be 'same', 'valid', an int or a pair, got {padding!r}"
        )
    if _both(stride) != (1, 1):
        raise ValueError(f"conv2d: padding='same' must come with stride 1, got stride {stride!r}")
    kernel, spread = weight.shape[2:], _both(dilation)
    whole = all(isinstance(d, (int, np.integer)) and d > 0 for d in spread)
    if len(kernel) != 2 or len(spread) != 2 or not whole:
        return x, 0  # the kernel names what is wrong
    total = [d * (k - 1) for d, k in zip(spread, kernel, strict=True)]
    odd = [t % 2 for t in total]
    if any(odd):
        widths = ((0, 0), (0, 0), (0, odd[0]), (0, odd[1]))
        x = apply(PadConstant, x, widths, 0.0)
    return x, (total[0] // 2, total[1] // 2)


def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Pair = 1,
    padding: str | Pair = 0,
    dilation: Pair = 1,
    groups: int = 1,
    *,
    activation: str | None = None,
    variant: str | None = None,
    strict: bool = False,
) -> Tensor:
    """2-D convolution (cross-correlation) y = act(x * W + b).

    x (N, C, H, W) or (C, H, W), W (K, C/groups, R, S), b (K,), y (N, K, P, Q) with
    P = floor((H + 2 padding - dilation (R - 1) - 1) / stride) + 1, and Q alike. `padding` is an
    int, a pair, "valid" (0) or "same" (P = H, stride 1 only, an odd pixel goes to the end).
    `activation` is applied in the same pass; `variant` forces an algorithm, see
    `neurona.kernels.conv2d_plan`; `strict` refuses a stride that leaves a remainder. Raises
    ValueError for values or shapes that do not fit, TypeError for a wrong kind or dtype.

    >>> import neurona
    >>> from neurona.nn import functional as F
    >>> F.conv2d(neurona.ones(1, 1, 3, 3), neurona.ones(1, 1, 3, 3), padding="same")[0, 0]
    tensor([[4., 6., 4.],
            [6., 9., 6.],
            [4., 6., 4.]])
    """
    if activation in NEED_INPUT and mode.enabled:
        y = conv2d(
            input, weight, bias, stride, padding, dilation, groups, variant=variant, strict=strict
        )
        return after(activation, y)
    x = as_tensor("conv2d", "input", input)
    single = x.data.ndim != 4 and unbatched("conv2d", x)
    if single:
        x = x.unsqueeze(0)
    if isinstance(padding, str):
        weight = as_tensor("conv2d", "weight", weight)
        x, padding = _named_padding(x, weight, stride, padding, dilation)
    if strict:
        kernel = as_tensor("conv2d", "weight", weight).shape[2:]
        output_size("conv2d", x.shape[2:], kernel, stride, padding, dilation, strict=True)
    geometry = {
        "stride": stride,
        "padding": padding,
        "dilation": dilation,
        "groups": groups,
        "variant": variant,
    }
    y = apply(Conv2d, x, weight, bias, activation, geometry)
    return y.squeeze(0) if single else y


def conv2d_relu_max_pool2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    geometry: dict[str, Any],
    window: dict[str, Any],
) -> Tensor:
    """max_pool2d(relu(conv2d(input))) as one node of the graph: images (N, C, H, W), the arguments
    of both by their names.
    """
    return apply(Conv2dReluMaxPool2d, input, weight, bias, {**geometry, "variant": None}, window)


def conv1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | tuple[int] = 1,
    padding: str | int | tuple[int] = 0,
    dilation: int | tuple[int] = 1,
    groups: int = 1,
    *,
    activation: str | None = None,
    strict: bool = False,
) -> Tensor:
    """1-D convolution (cross-correlation): `conv2d` of images of height 1.

    x (N, C, L) or (C, L), W (K, C/groups, S), b (K,), y (N, K, Q) with Q = floor((L + 2 padding -
    dilation (S - 1) - 1) / stride) + 1. Padding, own arguments and errors are those of `conv2d`.

    >>> import neurona
    >>> from neurona.nn import functional as F
    >>> F.conv1d(neurona.tensor([[1.0, 2.0, 4.0]]), neurona.tensor([[[1.0, -1.0]]]))
    tensor([[-1., -2.]])
    """
    x, w = as_tensor("conv1d", "input", input), as_tensor("conv1d", "weight", weight)
    if x.data.ndim not in (2, 3):
        raise ValueError(
            f"conv1d: input must have shape (N, C, L) or (C, L), got shape {x.data.shape}"
        )
    if w.data.ndim != 3:
        raise ValueError(
            f"conv1d: weight must have shape (K, C/groups, S), got shape {w.data.shape}"
        )
    sizes = {"stride": stride, "padding": padding, "dilation": dilation}
    least = {"stride": 1, "padding": 0, "dilation": 1}
    flat: dict[str, Any] = {
        name: value
        if isinstance(value, str)
        else (least[name], int_single("conv1d", name, value, least[name]))
        for name, value in sizes.items()
    }
    y = conv2d(
        x.unsqueeze(-2),
        w.unsqueeze(2),
        bias,
        groups=groups,
        activation=activation,
        strict=strict,
        **flat,
    )
    return y.squeeze(-2)


def conv_transpose2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Pair = 1,
    padding: Pair = 0,
    output_padding: Pair = 0,
    groups: int = 1,
    dilation: Pair = 1,
) -> Tensor:
    """Transposed 2-D convolution: the adjoint of `conv2d` with the same arguments, plus a bias.

    x (N, C, H, W) or (C, H, W), W (C, K/groups, R, S), b (K,), y (N, K, P, Q) with
    P = (H - 1) stride - 2 padding + dilation (R - 1) + output_padding + 1, and Q alike;
    output_padding must be below max(stride, dilation). Raises ValueError, TypeError as `conv2d`.

    >>> import neurona
    >>> from neurona.nn import functional as F
    >>> F.conv_transpose2d(neurona.ones(1, 1, 2, 2), neurona.ones(1, 1, 2, 2), stride=2).shape
    (1, 1, 4, 4)
    """
    x = as_tensor("conv_transpose2d", "input", input)
    single = x.data.ndim != 4 and unbatched("conv_transpose2d", x)
    if single:
        x = x.unsqueeze(0)
    geometry = {
        "stride": stride,
        "padding": padding,
        "output_padding": output_padding,
        "groups": groups,
        "dilation": dilation,
    }
    y = apply(ConvTranspose2d, x, weight, bias, geometry)
    return y.squeeze(0) if single else y
