"""Activations made of pieces: step, rigid sigmoid, ELU, PReLU, softplus."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autograd import Function, ndarray
from ..backends import current

_quiet = np.errstate(all="ignore")


class Step(Function):
    """y = 0 for x < 0, 1 for x > 0, `at_zero` for x = 0; the gradient is 0 everywhere."""

    __slots__ = ()
    fresh_grads = True

    def forward(ctx, x: ndarray, at_zero: Any) -> ndarray:
        return np.heaviside(x, x.dtype.type(at_zero))

    def backward(ctx, dy: ndarray) -> ndarray:
        return np.zeros_like(dy)


class HardSigmoid(Function):
    """y = min(max(slope x + shift, 0), 1); the gradient at both kinks is 0."""

    __slots__ = ()
    fresh_grads = True

    def forward(ctx, x: ndarray, slope: float, shift: float) -> ndarray:
        ctx.saved = (x, slope, shift)
        return current(x.dtype).hard_sigmoid_forward(x, slope, shift)

    def backward(ctx, dy: ndarray) -> ndarray:
        x, slope, shift = ctx.saved
        return current(dy.dtype).hard_sigmoid_backward(dy, x, slope, shift)


class ELU(Function):
    """y = x where x > 0, else alpha (e^x - 1)."""

    __slots__ = ()
    fresh_grads = True

    def forward(ctx, x: ndarray, alpha: float) -> ndarray:
        ctx.saved = (x, alpha)
        return current(x.dtype).elu_forward(x, alpha)

    def backward(ctx, dy: ndarray) -> ndarray:
        x, alpha = ctx.saved
        return current(dy.dtype).elu_backward(dy, x, alpha)


class PReLU(Function):
    """y = x where x > 0, else weight x; weight has one element, or one per channel (axis 1)."""

    __slots__ = ()
    fresh_grads = True

    @_quiet
    def forward(ctx, x: ndarray, weight: ndarray) -> ndarray:
        slope = weight.reshape(-1, *(1,) * (x.ndim - 2)) if weight.size > 1 else weight.reshape(())
        ctx.saved = (x, slope, weight.shape)
        return np.where(x > 0, x, slope * x)

    @_quiet
    def backward(ctx, dy: ndarray) -> tuple[Any, ...]:
        x, slope, shape = ctx.saved
        need_x, need_weight = ctx.needs
        dx = dweight = None
        if need_x:
            dx = np.where(x > 0, dy, slope * dy)
        if need_weight:
            share = np.where(x > 0, dy.dtype.type(0), x * dy)
            axes = tuple(i for i in range(x.ndim) if slope.size == 1 or i != 1)
            dweight = share.sum(axis=axes).reshape(shape)
        return dx, dweight


class Softplus(Function):
    """y = ln(1 + e^(beta x)) / beta, and x itself where beta x > threshold."""

    __slots__ = ()
    fresh_grads = True

    def forward(ctx, x: ndarray, beta: float, threshold: float) -> ndarray:
        ctx.saved = (x, beta, threshold)
        return current(x.dtype).softplus_forward(x, beta, threshold)

    def backward(ctx, dy: ndarray) -> ndarray:
        x, beta, threshold = ctx.saved
        return current(dy.dtype).softplus_backward(dy, x, beta, threshold)
