"""Enlarging maps: max unpooling, bed of nails, nearest and linear interpolation."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..autograd import Function, ndarray


class MaxUnpool2d(Function):
    """x (N, C, P, Q) put at flat positions `indices` of planes H x W that are 0 elsewhere."""

    __slots__ = ()
    fresh_grads = True

    def forward(ctx, x: ndarray, indices: ndarray, size: tuple[int, int]) -> ndarray:
        planes, pixels = x.shape[:2], x.shape[2] * x.shape[3]
        positions = indices.reshape(*planes, pixels)
        ctx.saved = (positions, x.shape)
        y = np.zeros((*planes, size[0] * size[1]), x.dtype)
        np.put_along_axis(y, positions, x.reshape(*planes, pixels), axis=2)
        return y.reshape(*planes, *size)

    def backward(ctx, dy: ndarray) -> ndarray:
        positions, shape = ctx.saved
        flat = dy.reshape(*shape[:2], -1)
        return np.take_along_axis(flat, positions, axis=2).reshape(shape)


class BedOfNails(Function):
    """x (..., H, W) at the top left corners of kh x kw blocks that are 0 elsewhere."""

    __slots__ = ()
    fresh_grads = True

    def forward(ctx, x: ndarray, block: tuple[int, int]) -> ndarray:
        ctx.saved = (block,)
        *planes, height, width = x.shape
        y = np.zeros((*planes, height * block[0], width * block[1]), x.dtype)
        y[..., :: block[0], :: block[1]] = x
        return y

    def backward(ctx, dy: ndarray) -> ndarray:
        ((kh, kw),) = ctx.saved
        return dy[..., ::kh, ::kw].copy()


class Taps(NamedTuple):
    """What an element of the result reads along one axis: x[below] (1 - part) + x[above] part.

    The positions never decrease. `above` and `part` are None where one element is read.
    """

    below: ndarray
    above: ndarray | None = None
    part: ndarray | None = None


def _along(values: ndarray, axis: int, ndim: int) -> ndarray:
    return values.reshape([-1 if i == axis else 1 for i in range(ndim)])


def _read(x: ndarray, taps: Taps, axis: int) -> ndarray:
    below = np.take(x, taps.below, axis)
    if taps.above is None or taps.part is None:
        return below
    part = _along(taps.part.astype(x.dtype), axis, x.ndim)
    return below * (1 - part) + np.take(x, taps.above, axis) * part


def _collect(dy: ndarray, positions: ndarray, length: int, axis: int) -> ndarray:
    """The sums of dy over equal positions: the adjoint of np.take for positions in order."""
    shape = tuple(length if i == axis else n for i, n in enumerate(dy.shape))
    dx = np.zeros(shape, dy.dtype)
    starts = np.flatnonzero(np.diff(positions, prepend=-1))
    where = tuple(positions[starts] if i == axis else slice(None) for i in range(dy.ndim))
    dx[where] = np.add.reduceat(dy, starts, axis)
    return dx


def _spread(dy: ndarray, taps: Taps, length: int, axis: int) -> ndarray:
    if taps.above is None or taps.part is None:
        return _collect(dy, taps.below, length, axis)
    part = _along(taps.part.astype(dy.dtype), axis, dy.ndim)
    below = _collect(dy * (1 - part), taps.below, length, axis)
    return below + _collect(dy * part, taps.above, length, axis)


class Interpolate(Function):
    """x (N, C, ...) resampled along each axis from the third on by its taps."""

    __slots__ = ()
    fresh_grads = True

    def forward(ctx, x: ndarray, taps: tuple[Taps, ...]) -> ndarray:
        ctx.saved = (x.shape, taps)
        y = x
        for axis, tap in enumerate(taps, start=2):
            y = _read(y, tap, axis)
        return y

    def backward(ctx, dy: ndarray) -> Any:
        shape, taps = ctx.saved
        for axis, tap in enumerate(taps, start=2):
            dy = _spread(dy, tap, shape[axis], axis)
        return dy
