"""Sums, means and maxima."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autograd import Function, ndarray
from ..backends import current


def _restored(reduced: ndarray, shape: tuple[int, ...], dim: Any, keepdim: bool) -> ndarray:
    """A reduced array with the axes that it lost, as axes of length 1."""
    if keepdim:
        return reduced
    if dim is None or dim == ():
        return reduced.reshape((1,) * len(shape))
    axes = dim if isinstance(dim, (tuple, list)) else (dim,)
    gone = {axis % len(shape) for axis in axes} if shape else set()
    return reduced.reshape([1 if i in gone else n for i, n in enumerate(shape)])


class Sum(Function):
    """The sum over `dim`: None (all), an axis or a tuple of axes."""

    __slots__ = ()

    def forward(ctx, x: ndarray, dim: Any, keepdim: bool) -> ndarray:
        ctx.saved = (x.shape, dim, keepdim)
        return current(x.dtype).sum(x, dim, keepdim)

    def backward(ctx, dy: ndarray) -> ndarray:
        shape, dim, keepdim = ctx.saved
        return np.broadcast_to(_restored(dy, shape, dim, keepdim), shape)


class Mean(Function):
    """The mean over `dim`: None (all), an axis or a tuple of axes."""

    __slots__ = ()

    def forward(ctx, x: ndarray, dim: Any, keepdim: bool) -> ndarray:
        y = current(x.dtype).mean(x, dim, keepdim)
        ctx.saved = (x.shape, dim, keepdim, x.size / max(y.size, 1))
        return y

    def backward(ctx, dy: ndarray) -> ndarray:
        shape, dim, keepdim, count = ctx.saved
        if count == 0:
            return np.zeros(shape, dy.dtype)
        share = current(dy.dtype).mul(dy, 1.0 / count)
        return np.broadcast_to(_restored(share, shape, dim, keepdim), shape)


class MaxAll(Function):
    """The largest element; elements that tie share the gradient."""

    __slots__ = ()
    fresh_grads = True

    def forward(ctx, x: ndarray) -> ndarray:
        y = current(x.dtype).max(x)
        ctx.saved = (x, y)
        return y

    def backward(ctx, dy: ndarray) -> ndarray:
        x, y = ctx.saved
        winners = np.isnan(x) if np.isnan(y) else x == y
        return np.where(winners, dy / winners.sum(dtype=dy.dtype), dy.dtype.type(0))


class MaxDim(Function):
    """(values, indices) of the largest elements along an axis; the first one wins ties."""

    __slots__ = ()
    fresh_grads = True

    def forward(ctx, x: ndarray, dim: int, keepdim: bool) -> tuple[ndarray, ndarray]:
        values, indices = current(x.dtype).max(x, dim, keepdim)
        ctx.saved = (x.shape, dim, keepdim, indices)
        return values, indices

    def backward(ctx, dy: ndarray) -> ndarray:
        shape, dim, keepdim, indices = ctx.saved
        dx = np.zeros(shape, dy.dtype)
        if not shape:
            return dx + dy.reshape(())
        if not keepdim:
            indices, dy = np.expand_dims(indices, dim), np.expand_dims(dy, dim)
        np.put_along_axis(dx, indices, dy, dim)
        return dx
