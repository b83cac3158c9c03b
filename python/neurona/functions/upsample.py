"""Enlarging maps: max unpooling, bed of nails, nearest and linear interpolation."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..autograd import Function, ndarray
from ..backends import current


class MaxUnpool2d(Function):
    """x (N, C, P, Q) put at flat positions `indices` of planes H x W that are 0 elsewhere."""

    __slots__ = ()
    fresh_grads = True

    def forward(ctx, x: ndarray, indices: ndarray, size: tuple[int, int]) -> ndarray:
        ctx.saved = (indices,)
        return current(x.dtype).max_unpool2d_forward(x, indices, size)

    def backward(ctx, dy: ndarray) -> ndarray:
        return current(dy.dtype).max_unpool2d_backward(dy, ctx.saved[0])


class BedOfNails(Function):
    """x (N, C, H, W) at the top left corners of kh x kw blocks that are 0 elsewhere."""

    __slots__ = ()
    fresh_grads = True

    def forward(ctx, x: ndarray, block: tuple[int, int]) -> ndarray:
        ctx.saved = (block,)
        return current(x.dtype).bed_of_nails_forward(x, block)

    def backward(ctx, dy: ndarray) -> ndarray:
        ((kh, kw),) = ctx.saved
        return dy[..., ::kh, ::kw].copy(order="K")


class Taps(NamedTuple):
    """What an element of the result reads along one axis: x[below] (1 - part) + x[above] part.

    The positions never decrease. `above` and `part` are None where one element is read.
    """

    below: ndarray
    above: ndarray | None = None
    part: ndarray | None = None


# Maps (N, C, L) are images with one row.
_ONE_ROW = (np.zeros(1, np.int64), None, None)


class Interpolate(Function):
    """x (N, C, H, W) or (N, C, L) resampled along each axis from the third on by its taps."""

    __slots__ = ()
    fresh_grads = True

    def forward(ctx, x: ndarray, taps: tuple[Taps, ...]) -> ndarray:
        columns = [
            (t.below, t.above, None if t.part is None else t.part.astype(x.dtype)) for t in taps
        ]
        rows = columns.pop(0) if len(columns) > 1 else _ONE_ROW
        image = x if x.ndim == 4 else x[:, :, None]
        ctx.saved = (rows, columns[0], image.shape[2:])
        y = current(x.dtype).resample2d_forward(image, rows, columns[0])
        return y if x.ndim == 4 else y[:, :, 0]

    def backward(ctx, dy: ndarray) -> Any:
        rows, columns, size = ctx.saved
        image = dy if dy.ndim == 4 else dy[:, :, None]
        dx = current(dy.dtype).resample2d_backward(image, rows, columns, size)
        return dx if dy.ndim == 4 else dx[:, :, 0]
