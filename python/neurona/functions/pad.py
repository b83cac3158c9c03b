"""Padding with a constant, or with elements of the tensor itself."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autograd import Function, ndarray


class PadConstant(Function):
    """x with (before, after) elements of `value` per axis; negative widths cut."""

    __slots__ = ()

    def forward(ctx, x: ndarray, widths: tuple[tuple[int, int], ...], value: float) -> ndarray:
        shape = tuple(n + a + b for n, (a, b) in zip(x.shape, widths, strict=True))
        # Where x lies in y, and the part of x that is not cut.
        inside = tuple(
            slice(max(a, 0), n - max(b, 0)) for n, (a, b) in zip(shape, widths, strict=True)
        )
        kept = tuple(
            slice(max(-a, 0), n - max(-b, 0)) for n, (a, b) in zip(x.shape, widths, strict=True)
        )
        ctx.saved = (x.shape, inside, kept)
        y = np.full(shape, value, x.dtype)
        y[inside] = x[kept]
        return y

    def backward(ctx, dy: ndarray) -> ndarray:
        shape, inside, kept = ctx.saved
        if all(k == slice(0, n) for k, n in zip(kept, shape, strict=True)):
            return dy[inside]
        dx = np.zeros(shape, dy.dtype)
        dx[kept] = dy[inside]
        return dx


class PadIndexed(Function):
    """x[..., rows, :][..., columns], with index arrays that repeat elements at the borders."""

    __slots__ = ()
    fresh_grads = True

    def forward(ctx, x: ndarray, grid: tuple[Any, ...]) -> ndarray:
        ctx.saved = (x.shape, grid)
        return x[(..., *grid)]

    def backward(ctx, dy: ndarray) -> ndarray:
        shape, grid = ctx.saved
        dx = np.zeros(shape, dy.dtype)
        np.add.at(dx, (..., *grid), dy)
        return dx
