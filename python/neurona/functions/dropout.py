"""Dropout (Srivastava et al. 2014)."""

from __future__ import annotations

import numpy as np

from ..autograd import Function, ndarray
from ..backends import current


class Dropout(Function):
    """Each element is 0 with probability p, else divided by 1 - p; (seed, offset) fix which."""

    __slots__ = ()
    fresh_grads = True

    def forward(ctx, x: ndarray, p: float, seed: int, offset: int) -> ndarray:
        ctx.saved = (p, seed, offset)
        return current(x.dtype).dropout(x, p, seed, offset)

    def backward(ctx, dy: ndarray) -> ndarray:
        p, seed, offset = ctx.saved
        return current(dy.dtype).dropout(dy, p, seed, offset)


class ClassicDropout(Function):
    """Each element is 0 with probability p, else as it was; the choice is that of `Dropout`."""

    __slots__ = ()
    fresh_grads = True

    def forward(ctx, x: ndarray, p: float, seed: int, offset: int) -> ndarray:
        keep = current(x.dtype).dropout(np.ones(x.shape, x.dtype), p, seed, offset) != 0
        ctx.saved = (keep,)
        return np.where(keep, x, x.dtype.type(0))

    def backward(ctx, dy: ndarray) -> ndarray:
        return np.where(ctx.saved[0], dy, dy.dtype.type(0))
