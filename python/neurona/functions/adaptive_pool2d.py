"""Adaptive max pooling: x (N, C, H, W) -> y (N, C, P, Q)."""

from __future__ import annotations

import numpy as np

from ..autograd import Function, ndarray


def _bins(length: int, count: int) -> list[tuple[int, int]]:
    """floor(i length / count) .. ceil((i + 1) length / count)."""
    return [(i * length // count, -(-(i + 1) * length // count)) for i in range(count)]


class AdaptiveMaxPool2d(Function):
    """(values, flat positions in each H*W plane) of the largest elements of P x Q bins that cover
    the image; the first one wins ties, NaN always wins.
    """

    __slots__ = ()
    fresh_grads = True

    def forward(ctx, x: ndarray, size: tuple[int, int]) -> tuple[ndarray, ndarray]:
        planes, (height, width) = x.shape[:2], x.shape[2:]
        y = np.empty((*planes, *size), x.dtype)
        indices = np.empty(y.shape, np.int64)
        for p, (top, bottom) in enumerate(_bins(height, size[0])):
            for q, (left, right) in enumerate(_bins(width, size[1])):
                window = x[:, :, top:bottom, left:right].reshape(*planes, -1)
                best = window.argmax(axis=2)
                y[:, :, p, q] = np.take_along_axis(window, best[:, :, None], axis=2)[:, :, 0]
                row, column = np.divmod(best, right - left)
                indices[:, :, p, q] = (top + row) * width + left + column
        ctx.saved = (indices, x.shape)
        return y, indices

    def backward(ctx, dy: ndarray) -> ndarray:
        indices, shape = ctx.saved
        dx = np.zeros((shape[0] * shape[1], shape[2] * shape[3]), dy.dtype)
        rows = np.arange(len(dx))[:, None]
        # Bins overlap where the sizes do not divide, so one element may win twice.
        np.add.at(dx, (rows, indices.reshape(len(dx), -1)), dy.reshape(len(dx), -1))
        return dx.reshape(shape)
