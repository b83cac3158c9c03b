"""Element-wise arithmetic of two arrays, or of an array and a number, with NumPy's broadcasting."""

from __future__ import annotations

import numpy as np

from . import _checks as check

Operand = np.ndarray | float


def _operands(op: str, a: Operand, b: Operand) -> tuple[Operand, Operand]:
    """Both operands checked: arrays of one dtype that broadcast, or an array and a number."""
    numbers = (int, float, np.integer, np.floating)
    a_is_number, b_is_number = isinstance(a, numbers), isinstance(b, numbers)
    if a_is_number and b_is_number:
        raise TypeError(f"{op}: a or b must be a numpy.ndarray, got two numbers")
    anything = "a number", lambda value: True
    if a_is_number:
        return check.number(op, "a", a, *anything), check.array(op, "b", b)
    if b_is_number:
        return check.array(op, "a", a), check.number(op, "b", b, *anything)
    a, b = check.array(op, "a", a), check.array(op, "b", b)
    check.same_dtype(op, "b", b, "a", a)
    try:
        shape = np.broadcast_shapes(a.shape, b.shape)
    except ValueError:
        raise ValueError(
            f"{op}: a and b must have shapes that broadcast, got {a.shape} and {b.shape}"
        ) from None
    check.memory(op, "the result", shape, a.dtype)
    return a, b


@np.errstate(all="ignore")
def add(a: Operand, b: Operand) -> np.ndarray:
    """Return a + b. Raises TypeError for a wrong dtype, ValueError for shapes that do not
    broadcast.

    >>> add(np.array([1.0, 2.0]), 1.0)
    array([2., 3.])
    """
    a, b = _operands("add", a, b)
    return np.asarray(a + b)


@np.errstate(all="ignore")
def sub(a: Operand, b: Operand) -> np.ndarray:
    """Return a - b. Raises TypeError for a wrong dtype, ValueError for shapes that do not
    broadcast.

    >>> sub(1.0, np.array([1.0, 2.0]))
    array([ 0., -1.])
    """
    a, b = _operands("sub", a, b)
    return np.asarray(a - b)


@np.errstate(all="ignore")
def mul(a: Operand, b: Operand) -> np.ndarray:
    """Return a * b. Raises TypeError for a wrong dtype, ValueError for shapes that do not
    broadcast.

    >>> mul(np.array([1.0, 2.0]), np.array([3.0, 4.0]))
    array([3., 8.])
    """
    a, b = _operands("mul", a, b)
    return np.asarray(a * b)


@np.errstate(all="ignore")
def div(a: Operand, b: Operand) -> np.ndarray:
    """Return a / b; a zero divisor gives an infinity or NaN. Raises TypeError, ValueError as `add`.

    >>> div(np.array([1.0, 2.0]), 2.0)
    array([0.5, 1. ])
    """
    a, b = _operands("div", a, b)
    return np.asarray(np.divide(a, b))
