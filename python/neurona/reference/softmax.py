"""Softmax and its logarithm along one axis, with their gradients.

    softmax:     y_i = exp(x_i - max x) / sum_j exp(x_j - max x)        dx = y (dy - sum_j dy_j y_j)
    log-softmax: y_i = x_i - max x - log sum_j exp(x_j - max x)         dx = dy - exp(y) sum_j dy_j

Subtracting the maximum changes nothing on paper and keeps exp from overflowing. A row that is -inf
throughout, or that holds +inf or NaN, gives NaN.
"""

from __future__ import annotations

import numpy as np

from . import _checks as check


def _checked(op: str, name: str, value: np.ndarray, dim: int) -> tuple[np.ndarray, int]:
    value = check.array(op, name, value)
    axis = check.axis(op, dim, value.ndim)
    if value.shape[axis] == 0:
        raise ValueError(f"{op}: {name} must not be empty along dim {dim}, got shape {value.shape}")
    return value, axis


def _checked_pair(
    op: str, dy: np.ndarray, y: np.ndarray, dim: int
) -> tuple[np.ndarray, np.ndarray, int]:
    y, axis = _checked(op, "y", y, dim)
    dy = check.array(op, "dy", dy)
    check.same_dtype(op, "dy", dy, "y", y)
    check.shape(op, "dy", dy, y.shape)
    return dy, y, axis


def _sum(x: np.ndarray, axis: int) -> np.ndarray:
    return x.sum(axis=axis, keepdims=True, dtype=check.accumulator(x.dtype)).astype(x.dtype)


@np.errstate(all="ignore")
def softmax_forward(x: np.ndarray, dim: int) -> np.ndarray:
    """Return the softmax of x along `dim`. Raises TypeError for a wrong dtype, ValueError for a
    wrong or empty axis.

    >>> softmax_forward(np.array([[0.0, 0.0]]), 1)
    array([[0.5, 0.5]])
    """
    x, axis = _checked("softmax", "x", x, dim)
    exponentials = np.exp(x - x.max(axis=axis, keepdims=True))
    return exponentials / _sum(exponentials, axis)


@np.errstate(all="ignore")
def softmax_backward(dy: np.ndarray, y: np.ndarray, dim: int) -> np.ndarray:
    """Return dx from dy and the output y, both of x's shape. Raises TypeError, ValueError.

    >>> softmax_backward(np.array([[1.0, 0.0]]), np.array([[0.5, 0.5]]), 1)
    array([[ 0.25, -0.25]])
    """
    dy, y, axis = _checked_pair("softmax_backward", dy, y, dim)
    return y * (dy - _sum(dy * y, axis))


@np.errstate(all="ignore")
def log_softmax_forward(x: np.ndarray, dim: int) -> np.ndarray:
    """Return the logarithm of the softmax of x along `dim`. Raises TypeError, ValueError.

    >>> log_softmax_forward(np.array([[0.0, 0.0]]), 1).round(3)
    array([[-0.693, -0.693]])
    """
    x, axis = _checked("log_softmax", "x", x, dim)
    shifted = x - x.max(axis=axis, keepdims=True)
    return shifted - np.log(_sum(np.exp(shifted), axis))


@np.errstate(all="ignore")
def log_softmax_backward(dy: np.ndarray, y: np.ndarray, dim: int) -> np.ndarray:
    """Return dx from dy and the output y, both of x's shape. Raises TypeError, ValueError.

    >>> log_softmax_backward(np.array([[1.0, 0.0]]), np.log(np.array([[0.5, 0.5]])), 1)
    array([[ 0.5, -0.5]])
    """
    dy, y, axis = _checked_pair("log_softmax_backward", dy, y, dim)
    return dy - np.exp(y) * _sum(dy, axis)
