"""Arithmetic of two tensors, or of a tensor and a number, with NumPy's broadcasting."""

from __future__ import annotations

from typing import Any

from ..autograd import Function, is_array, ndarray
from ..backends import current

Operand = ndarray | float


def _shape(operand: Operand) -> tuple[int, ...]:
    return operand.shape if is_array(operand) else ()  # type: ignore[union-attr]


def unbroadcast(gradient: ndarray, shape: tuple[int, ...]) -> ndarray:
    """Sum a gradient over the axes along which its operand, of this shape, was repeated."""
    if gradient.shape == shape:
        return gradient
    extra = gradient.ndim - len(shape)
    axes = (*range(extra), *(i + extra for i, n in enumerate(shape) if n == 1))
    axes = tuple(i for i in axes if i < extra or gradient.shape[i] != 1)
    if axes:
        gradient = current(gradient.dtype).sum(gradient, axes, True)
    return gradient.reshape(shape)


def _backend(a: Operand, b: Operand) -> Any:
    """The backend for the operand that is an array."""
    return current(a.dtype if is_array(a) else b.dtype)  # type: ignore[union-attr]


class Add(Function):
    """a + b."""

    __slots__ = ()

    def forward(ctx, a: Operand, b: Operand) -> ndarray:
        ctx.saved = (_shape(a), _shape(b))
        return _backend(a, b).add(a, b)

    def backward(ctx, dy: ndarray) -> tuple[Any, ...]:
        shape_a, shape_b = ctx.saved
        need_a, need_b = ctx.needs
        return (
            unbroadcast(dy, shape_a) if need_a else None,
            unbroadcast(dy, shape_b) if need_b else None,
        )


class Sub(Function):
    """a - b."""

    __slots__ = ()

    def forward(ctx, a: Operand, b: Operand) -> ndarray:
        ctx.saved = (_shape(a), _shape(b))
        return _backend(a, b).sub(a, b)

    def backward(ctx, dy: ndarray) -> tuple[Any, ...]:
        shape_a, shape_b = ctx.saved
        need_a, need_b = ctx.needs
        return (
            unbroadcast(dy, shape_a) if need_a else None,
            current(dy.dtype).mul(unbroadcast(dy, shape_b), -1.0) if need_b else None,
        )


class Mul(Function):
    """a * b."""

    __slots__ = ()
    fresh_grads = True

    def forward(ctx, a: Operand, b: Operand) -> ndarray:
        need_a, need_b = ctx.needs
        ctx.saved = (a if need_b else None, b if need_a else None, _shape(a), _shape(b))
        return _backend(a, b).mul(a, b)

    def backward(ctx, dy: ndarray) -> tuple[Any, ...]:
        a, b, shape_a, shape_b = ctx.saved
        need_a, need_b = ctx.needs
        mul = current(dy.dtype).mul
        return (
            unbroadcast(mul(dy, b), shape_a) if need_a else None,
            unbroadcast(mul(dy, a), shape_b) if need_b else None,
        )


class Div(Function):
    """a / b; db = -dy y / b."""

    __slots__ = ()
    fresh_grads = True

    def forward(ctx, a: Operand, b: Operand) -> ndarray:
        need_a, need_b = ctx.needs
        y = _backend(a, b).div(a, b)
        ctx.saved = (b, y if need_b else None, _shape(a), _shape(b))
        return y

    def backward(ctx, dy: ndarray) -> tuple[Any, ...]:
        b, y, shape_a, shape_b = ctx.saved
        need_a, need_b = ctx.needs
        backend = current(dy.dtype)
        da = backend.div(dy, b)
        return (
            unbroadcast(da, shape_a) if need_a else None,
            unbroadcast(backend.mul(backend.mul(da, y), -1.0), shape_b) if need_b else None,
        )
