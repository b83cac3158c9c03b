"""Element-wise losses of two arrays of one shape, reduced by "mean", "sum" or "none"."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autograd import Function, ndarray
from ..backends import current


class _DifferenceLoss(Function):
    __slots__ = ()

    def forward(ctx, x: ndarray, target: ndarray, reduction: str, *parameters: float) -> ndarray:
        backend = current(x.dtype)
        difference = backend.sub(x, target)
        ctx.saved = (difference, reduction, parameters)
        # NumPy turns 0-d arrays into numbers.
        values = np.asarray(ctx.value(backend, difference, *parameters))
        if reduction == "none":
            return values
        return backend.mean(values) if reduction == "mean" else backend.sum(values)

    def backward(ctx, dy: ndarray) -> tuple[Any, ...]:
        difference, reduction, parameters = ctx.saved
        backend = current(dy.dtype)
        slope = np.asarray(ctx.slope(backend, difference, *parameters))
        if reduction == "none":
            dx = backend.mul(slope, dy)
        else:
            upstream = float(dy) / difference.size if reduction == "mean" else float(dy)
            dx = backend.mul(slope, upstream)
        return dx, backend.mul(dx, -1.0) if ctx.needs[1] else None

    # The derived classes name their parameters, hence Any.
    value: Any
    slope: Any


class MSELoss(_DifferenceLoss):
    """(x - target)^2."""

    __slots__ = ()
    fresh_grads = True

    @staticmethod
    def value(backend: Any, difference: ndarray) -> ndarray:
        return backend.mul(difference, difference)

    @staticmethod
    def slope(backend: Any, difference: ndarray) -> ndarray:
        return backend.mul(difference, 2.0)


class L1Loss(_DifferenceLoss):
    """|x - target|; the gradient at 0 is 0."""

    __slots__ = ()
    fresh_grads = True

    @staticmethod
    def value(backend: Any, difference: ndarray) -> ndarray:
        return np.abs(difference)

    @staticmethod
    def slope(backend: Any, difference: ndarray) -> ndarray:
        return np.sign(difference)


class HuberLoss(_DifferenceLoss):
    """e^2 / 2 where |e| < delta, else delta (|e| - delta / 2); the slope is e cut to +-delta."""

    __slots__ = ()
    fresh_grads = True

    @staticmethod
    def value(backend: Any, difference: ndarray, delta: float) -> ndarray:
        size = np.abs(difference)
        values = np.where(size < delta, 0.5 * size * size, delta * (size - 0.5 * delta))
        return values.astype(difference.dtype, copy=False)

    @staticmethod
    def slope(backend: Any, difference: ndarray, delta: float) -> ndarray:
        return np.clip(difference, -delta, delta).astype(difference.dtype, copy=False)


class SmoothL1Loss(_DifferenceLoss):
    """e^2 / (2 beta) where |e| < beta, else |e| - beta / 2; beta 0 gives |e|."""

    __slots__ = ()
    fresh_grads = True

    @staticmethod
    def value(backend: Any, difference: ndarray, beta: float) -> ndarray:
        size = np.abs(difference)
        if beta == 0:
            return size
        values = np.where(size < beta, 0.5 * size * size / beta, size - 0.5 * beta)
        return values.astype(difference.dtype, copy=False)

    @staticmethod
    def slope(backend: Any, difference: ndarray, beta: float) -> ndarray:
        if beta == 0:
            return np.sign(difference)
        return np.clip(difference / beta, -1.0, 1.0).astype(difference.dtype, copy=False)
