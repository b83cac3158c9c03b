"""Element-wise functions outside the list of kernels, computed by NumPy in the tensor's dtype."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autograd import Function, ndarray
from .elementwise import Operand, _shape, unbroadcast

_quiet = np.errstate(all="ignore")


class Exp(Function):
    """y = e^x."""

    __slots__ = ()
    fresh_grads = True

    @_quiet
    def forward(ctx, x: ndarray) -> ndarray:
        y = np.exp(x)
        ctx.saved = (y,)
        return y

    @_quiet
    def backward(ctx, dy: ndarray) -> ndarray:
        return dy * ctx.saved[0]


class Log(Function):
    """y = ln x."""

    __slots__ = ()
    fresh_grads = True

    @_quiet
    def forward(ctx, x: ndarray) -> ndarray:
        ctx.saved = (x,)
        return np.log(x)

    @_quiet
    def backward(ctx, dy: ndarray) -> ndarray:
        return dy / ctx.saved[0]


class Sqrt(Function):
    """y = sqrt(x)."""

    __slots__ = ()
    fresh_grads = True

    @_quiet
    def forward(ctx, x: ndarray) -> ndarray:
        y = np.sqrt(x)
        ctx.saved = (y,)
        return y

    @_quiet
    def backward(ctx, dy: ndarray) -> ndarray:
        return dy / (2 * ctx.saved[0])


class Abs(Function):
    """y = |x|; the gradient at 0 is 0."""

    __slots__ = ()
    fresh_grads = True

    def forward(ctx, x: ndarray) -> ndarray:
        ctx.saved = (x,)
        return np.abs(x)

    @_quiet
    def backward(ctx, dy: ndarray) -> ndarray:
        return dy * np.sign(ctx.saved[0])


class Pow(Function):
    """y = a^b for tensors or numbers; da = b a^(b - 1) dy, db = y ln(a) dy (0 where a = 0)."""

    __slots__ = ()
    fresh_grads = True

    @_quiet
    def forward(ctx, a: Operand, b: Operand) -> ndarray:
        y = np.power(a, b)
        ctx.saved = (a, b, y if ctx.needs[1] else None)
        return y

    @_quiet
    def backward(ctx, dy: ndarray) -> tuple[Any, ...]:
        a, b, y = ctx.saved
        need_a, need_b = ctx.needs
        da = db = None
        if need_a:
            # At b = 0 the gradient is 0 even where a = 0 makes the power infinite.
            slope = np.where(b == 0, dy.dtype.type(0), b * np.power(a, b - 1))
            da = unbroadcast((dy * slope).astype(dy.dtype, copy=False), _shape(a))
        if need_b:
            logarithm = np.where(a == 0, dy.dtype.type(0), np.log(a))
            db = unbroadcast((dy * y * logarithm).astype(dy.dtype, copy=False), _shape(b))
        return da, db


class Clamp(Function):
    """y = min(max(x, low), high); the gradient is 0 outside [low, high]."""

    __slots__ = ()
    fresh_grads = True

    def forward(ctx, x: ndarray, low: float | None, high: float | None) -> ndarray:
        ctx.saved = (x, low, high)
        return np.clip(x, low, high)

    @_quiet
    def backward(ctx, dy: ndarray) -> ndarray:
        x, low, high = ctx.saved
        outside = np.zeros(x.shape, bool)
        if low is not None:
            outside |= x < low
        if high is not None:
            outside |= x > high
        return np.where(outside, dy.dtype.type(0), dy)


class Extremum(Function):
    """The larger (`np.maximum`) or smaller (`np.minimum`) of a and b; ties share the gradient."""

    __slots__ = ()
    fresh_grads = True

    def forward(ctx, a: ndarray, b: ndarray, choose: Any) -> ndarray:
        ctx.saved = (a, b, choose)
        return choose(a, b)

    @_quiet
    def backward(ctx, dy: ndarray) -> tuple[Any, ...]:
        a, b, choose = ctx.saved
        need_a, need_b, _ = ctx.needs
        y = choose(a, b)
        share = np.where(a == b, dy.dtype.type(0.5), dy.dtype.type(1))
        zero = dy.dtype.type(0)
        return (
            unbroadcast(np.where(a == y, dy * share, zero), a.shape) if need_a else None,
            unbroadcast(np.where(b == y, dy * share, zero), b.shape) if need_b else None,
        )


class Where(Function):
    """a where the condition holds, else b."""

    __slots__ = ()
    fresh_grads = True

    def forward(ctx, condition: ndarray, a: Operand, b: Operand) -> ndarray:
        ctx.saved = (condition, _shape(a), _shape(b))
        return np.where(condition, a, b)

    def backward(ctx, dy: ndarray) -> tuple[Any, ...]:
        condition, shape_a, shape_b = ctx.saved
        _, need_a, need_b = ctx.needs
        zero = dy.dtype.type(0)
        return (
            None,
            unbroadcast(np.where(condition, dy, zero), shape_a) if need_a else None,
            unbroadcast(np.where(condition, zero, dy), shape_b) if need_b else None,
        )


class Cast(Function):
    """x in another floating dtype."""

    __slots__ = ()
    fresh_grads = True

    @_quiet
    def forward(ctx, x: ndarray, dtype: np.dtype) -> ndarray:
        ctx.saved = (x.dtype,)
        return x.astype(dtype)

    @_quiet
    def backward(ctx, dy: ndarray) -> ndarray:
        return dy.astype(ctx.saved[0])
