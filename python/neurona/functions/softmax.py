"""Softmax and its logarithm along one axis."""

from __future__ import annotations

from ..autograd import Function, ndarray
from ..backends import current


class Softmax(Function):
    """y = exp(x) / sum exp(x)."""

    __slots__ = ()
    fresh_grads = True

    def forward(ctx, x: ndarray, dim: int) -> ndarray:
        y = current(x.dtype).softmax_forward(x, dim)
        ctx.saved = (y, dim)
        return y

    def backward(ctx, dy: ndarray) -> ndarray:
        y, dim = ctx.saved
        return current(dy.dtype).softmax_backward(dy, y, dim)


class LogSoftmax(Function):
    """y = x - log sum exp(x)."""

    __slots__ = ()
    fresh_grads = True

    def forward(ctx, x: ndarray, dim: int) -> ndarray:
        y = current(x.dtype).log_softmax_forward(x, dim)
        ctx.saved = (y, dim)
        return y

    def backward(ctx, dy: ndarray) -> ndarray:
        y, dim = ctx.saved
        return current(dy.dtype).log_softmax_backward(dy, y, dim)
