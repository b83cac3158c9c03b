"""Pooling of sequences (N, C, L) or (C, L), as images of height 1."""

from __future__ import annotations

from typing import Any

from ...tensor import Tensor
from ._arguments import as_tensor, int_single
from .pooling import avg_pool2d, max_pool2d

Single = int | tuple[int]


def _image(op: str, input: Tensor) -> Tensor:
    x = as_tensor(op, "input", input)
    if x.data.ndim not in (2, 3):
        raise ValueError(f"{op}: input must have shape (N, C, L) or (C, L), got {x.data.shape}")
    return x.unsqueeze(-2)


def _steps(op: str, kernel_size: Any, stride: Any) -> tuple[tuple[int, int], tuple[int, int]]:
    kernel = int_single(op, "kernel_size", kernel_size, 1)
    return (1, kernel), (1, kernel if stride is None else int_single(op, "stride", stride, 1))


def max_pool1d(
    input: Tensor,
    kernel_size: Single,
    stride: Single | None = None,
    padding: Single = 0,
    dilation: Single = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest value of each window of `kernel_size`: `max_pool2d` of images of height 1.

    x (N, C, L) or (C, L), y (N, C, Q) with Q = floor((L + 2 padding - dilation (kernel_size - 1) -
    1) / stride) + 1; ties, indices, rounding and errors as there.

    >>> import neurona
    >>> from neurona.nn import functional as F
    >>> F.max_pool1d(neurona.tensor([[1.0, 3.0, 2.0, 0.0]]), 2)
    tensor([[3., 2.]])
    """
    x = _image("max_pool1d", input)
    kernel, steps = _steps("max_pool1d", kernel_size, stride)
    pads = (0, int_single("max_pool1d", "padding", padding, 0))
    spread = (1, int_single("max_pool1d", "dilation", dilation, 1))
    result = max_pool2d(x, kernel, steps, pads, spread, ceil_mode, return_indices)
    return tuple(t.squeeze(-2) for t in result) if return_indices else result.squeeze(-2)


def avg_pool1d(
    input: Tensor,
    kernel_size: Single,
    stride: Single | None = None,
    padding: Single = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """The mean of each window of `kernel_size`: `avg_pool2d` of images of height 1.

    x (N, C, L) or (C, L), y (N, C, Q) with Q = floor((L + 2 padding - kernel_size) / stride) + 1;
    divisor, rounding and errors as there.

    >>> import neurona
    >>> from neurona.nn import functional as F
    >>> F.avg_pool1d(neurona.tensor([[1.0, 3.0, 2.0, 0.0]]), 2)
    tensor([[2., 1.]])
    """
    x = _image("avg_pool1d", input)
    kernel, steps = _steps("avg_pool1d", kernel_size, stride)
    pads = (0, int_single("avg_pool1d", "padding", padding, 0))
    return avg_pool2d(x, kernel, steps, pads, ceil_mode, count_include_pad).squeeze(-2)
