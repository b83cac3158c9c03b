"""Pooling: x (N, C, H, W) -> y (N, C, P, Q)."""

from __future__ import annotations

from typing import Any

from ..autograd import Function, ndarray
from ..backends import current


class MaxPool2d(Function):
    """The largest value of each window; the first one wins ties. `options` holds stride, padding,
    dilation and ceil_mode. With `return_indices` the flat positions in each H*W plane come second.
    """

    __slots__ = ()
    fresh_grads = True
    kind = "max"

    def forward(
        ctx, x: ndarray, kernel_size: Any, options: dict[str, Any], return_indices: bool
    ) -> Any:
        backend = current(x.dtype)
        pool = backend.max_pool2d_forward if ctx.kind == "max" else backend.min_pool2d_forward
        y, offsets = pool(x, kernel_size, with_offsets=ctx.needs[0] or return_indices, **options)
        ctx.saved = (offsets, x.shape[2:], kernel_size, options)
        if not return_indices:
            return y
        geometry = {name: options[name] for name in ("stride", "padding", "dilation")}
        return y, backend.pool2d_indices(offsets, x.shape[2:], kernel_size, **geometry)

    def backward(ctx, dy: ndarray) -> ndarray:
        offsets, input_size, kernel_size, options = ctx.saved
        backend = current(dy.dtype)
        pool = backend.max_pool2d_backward if ctx.kind == "max" else backend.min_pool2d_backward
        return pool(dy, offsets, input_size, kernel_size, **options)


class MinPool2d(MaxPool2d):
    """The smallest value of each window."""

    __slots__ = ()
    kind = "min"


class AvgPool2d(Function):
    """The mean of each window. `options` holds stride, padding, ceil_mode, count_include_pad and
    divisor_override.
    """

    __slots__ = ()
    fresh_grads = True

    def forward(ctx, x: ndarray, kernel_size: Any, options: dict[str, Any]) -> ndarray:
        ctx.saved = (x.shape[2:], kernel_size, options)
        return current(x.dtype).avg_pool2d_forward(x, kernel_size, **options)

    def backward(ctx, dy: ndarray) -> ndarray:
        input_size, kernel_size, options = ctx.saved
        return current(dy.dtype).avg_pool2d_backward(dy, input_size, kernel_size, **options)


class AdaptiveAvgPool2d(Function):
    """The means of P x Q windows that cover the image: bin i is floor(i H / P) .. ceil((i + 1) H /
    P).
    """

    __slots__ = ()
    fresh_grads = True

    def forward(ctx, x: ndarray, output_size: Any) -> ndarray:
        ctx.saved = (x.shape[2:],)
        return current(x.dtype).adaptive_avg_pool2d_forward(x, output_size)

    def backward(ctx, dy: ndarray) -> ndarray:
        return current(dy.dtype).adaptive_avg_pool2d_backward(dy, ctx.saved[0])
