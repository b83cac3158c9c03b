"""Element-wise losses of two arrays of one shape, reduced by "mean", "sum" or "none"."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autograd import Function, ndarray
from ..backends import current


class _DifferenceLoss(Function):
    __slots__ = ()

    def forward(ctx, x: ndarray, target: ndarray, reduction: str) -> ndarray:
        backend = current(x.dtype)
        difference = backend.sub(x, target)
        ctx.saved = (difference, reduction)
        values = ctx.value(backend, difference)
        if reduction == "none":
            return values
        return backend.mean(values) if reduction == "mean" else backend.sum(values)

    def backward(ctx, dy: ndarray) -> tuple[Any, ...]:
        difference, reduction = ctx.saved
        backend = current(dy.dtype)
        if reduction == "none":
            dx = backend.mul(ctx.slope(backend, difference), dy)
        else:
            upstream = float(dy) / difference.size if reduction == "mean" else float(dy)
            dx = backend.mul(ctx.slope(backend, difference), upstream)
        return dx, backend.mul(dx, -1.0) if ctx.needs[1] else None

    @staticmethod
    def value(backend: Any, difference: ndarray) -> ndarray:
        raise NotImplementedError

    @staticmethod
    def slope(backend: Any, difference: ndarray) -> ndarray:
        raise NotImplementedError


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
