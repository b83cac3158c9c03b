"""Pooling of images (N, C, H, W), or one image (C, H, W)."""

from __future__ import annotations

from typing import Any

from ...autograd import Function
from ...functions.adaptive_pool2d import AdaptiveMaxPool2d
from ...functions.pool2d import AdaptiveAvgPool2d, AvgPool2d, MaxPool2d, MinPool2d
from ...tensor import Tensor
from ...tensor.base import apply
from ._arguments import Pair, as_float, as_tensor, int_pair, unbatched


def _extreme(
    op: str,
    function: type[Function],
    input: Tensor,
    kernel_size: Pair,
    stride: Pair | None,
    padding: Pair,
    dilation: Pair,
    ceil_mode: bool,
    return_indices: bool,
) -> Any:
    x = as_tensor(op, "input", input)
    single = x.data.ndim != 4 and unbatched(op, x)
    if single:
        x = x.unsqueeze(0)
    options = {
        "stride": stride,
        "padding": padding,
        "dilation": dilation,
        "ceil_mode": ceil_mode,
    }
    result = function.apply(x, kernel_size, options, return_indices)
    if not single:
        return result
    return tuple(t.squeeze(0) for t in result) if return_indices else result.squeeze(0)


def max_pool2d(
    input: Tensor,
    kernel_size: Pair,
    stride: Pair | None = None,
    padding: Pair = 0,
    dilation: Pair = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest value of each R x S window; with `return_indices` also where it is.

    x (N, C, H, W), y (N, C, P, Q) with P = floor((H + 2 padding - dilation (R - 1) - 1) / stride) +
    1, rounded up instead with `ceil_mode`; stride is kernel_size unless given. The first element
    wins ties, NaN always wins, padding never. Indices are int64, flat in each H*W plane. Raises
    ValueError for values that do not fit (padding at most half the kernel), TypeError for a wrong
    kind.

    >>> import neurona
    >>> from neurona.nn import functional as F
    >>> F.max_pool2d(neurona.arange(16).float().reshape(1, 4, 4), 2)
    tensor([[[ 5.,  7.],
             [13., 15.]]])
    """
    return _extreme(
        "max_pool2d",
        MaxPool2d,
        input,
        kernel_size,
        stride,
        padding,
        dilation,
        ceil_mode,
        return_indices,
    )


def min_pool2d(
    input: Tensor,
    kernel_size: Pair,
    stride: Pair | None = None,
    padding: Pair = 0,
    dilation: Pair = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The smallest value of each window: -max_pool2d(-x); arguments and errors as `max_pool2d`.

    >>> import neurona
    >>> from neurona.nn import functional as F
    >>> F.min_pool2d(neurona.arange(16).float().reshape(1, 4, 4), 2)
    tensor([[[ 0.,  2.],
             [ 8., 10.]]])
    """
    return _extreme(
        "min_pool2d",
        MinPool2d,
        input,
        kernel_size,
        stride,
        padding,
        dilation,
        ceil_mode,
        return_indices,
    )


def avg_pool2d(
    input: Tensor,
    kernel_size: Pair,
    stride: Pair | None = None,
    padding: Pair = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The mean of each R x S window; shapes as `max_pool2d` with dilation 1.

    Zeros of the padding count unless `count_include_pad` is false; `divisor_override` divides the
    sums by a number of its own. Raises ValueError, TypeError as `max_pool2d`.

    >>> import neurona
    >>> from neurona.nn import functional as F
    >>> F.avg_pool2d(neurona.arange(4).float().reshape(1, 2, 2), 2)
    tensor([[[1.5]]])
    """
    x = as_tensor("avg_pool2d", "input", input)
    single = x.data.ndim != 4 and unbatched("avg_pool2d", x)
    if single:
        x = x.unsqueeze(0)
    options = {
        "stride": stride,
        "padding": padding,
        "ceil_mode": ceil_mode,
        "count_include_pad": count_include_pad,
        "divisor_override": divisor_override,
    }
    y = apply(AvgPool2d, x, kernel_size, options)
    return y.squeeze(0) if single else y


def adaptive_avg_pool2d(input: Tensor, output_size: Any) -> Tensor:
    """The means of P x Q windows that cover the image: rows floor(p H / P) to ceil((p + 1) H / P).

    `output_size` is P = Q or a pair; None in the pair keeps that axis. Raises ValueError for a size
    below 1, TypeError for a wrong kind.

    >>> import neurona
    >>> from neurona.nn import functional as F
    >>> F.adaptive_avg_pool2d(neurona.ones(1, 3, 7, 5), 1).shape
    (1, 3, 1, 1)
    """
    x = as_tensor("adaptive_avg_pool2d", "input", input)
    single = x.data.ndim != 4 and unbatched("adaptive_avg_pool2d", x)
    if single:
        x = x.unsqueeze(0)
    y = apply(AdaptiveAvgPool2d, x, _kept(output_size, x.data.shape))
    return y.squeeze(0) if single else y


def _kept(output_size: Any, shape: tuple[int, ...]) -> Any:
    """An adaptive output size with the image's own lengths where a pair holds None."""
    if not isinstance(output_size, (tuple, list)) or len(output_size) != 2:
        return output_size
    return tuple(
        length if size is None else size
        for size, length in zip(output_size, shape[2:], strict=True)
    )


def adaptive_max_pool2d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """The largest values of the P x Q windows of `adaptive_avg_pool2d`; with `return_indices` also
    where they are, int64 and flat in each H*W plane.

    Raises ValueError for a size below 1 and for an empty image, TypeError for a wrong kind.

    >>> import neurona
    >>> from neurona.nn import functional as F
    >>> F.adaptive_max_pool2d(neurona.arange(6).float().reshape(1, 2, 3), (1, 2))
    tensor([[[4., 5.]]])
    """
    op = "adaptive_max_pool2d"
    x = as_float(op, "input", input)
    single = unbatched(op, x)
    if single:
        x = x.unsqueeze(0)
    size = int_pair(op, "output_size", _kept(output_size, x.data.shape), 1)
    height, width = x.data.shape[2:]
    if height < 1 or width < 1:
        raise ValueError(f"{op}: input must have pixels, got shape {x.data.shape}")
    if height % size[0] == 0 and width % size[1] == 0:
        window = (height // size[0], width // size[1])
        y, indices = max_pool2d(x, window, return_indices=True)
    else:
        y, indices = AdaptiveMaxPool2d.apply(x, size)
    if single:
        y, indices = y.squeeze(0), indices.squeeze(0)
    return (y, indices) if return_indices else y
