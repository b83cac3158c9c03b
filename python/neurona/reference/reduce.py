"""Sums, means and maxima over all axes or some of them.

The names are those of PyTorch and hide Python's own `sum` and `max` in this module.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from . import _checks as check


def _axes(op: str, dim: int | Sequence[int] | None, ndim: int) -> tuple[int, ...]:
    """The axes to reduce, each named once; None or an empty tuple means all of them."""
    if dim is None or (isinstance(dim, (tuple, list)) and len(dim) == 0):
        return tuple(range(ndim))
    dims = dim if isinstance(dim, (tuple, list)) else (dim,)
    axes = tuple(check.axis(op, d, ndim) for d in dims)
    if len(set(axes)) != len(axes):
        raise ValueError(f"{op}: dim must name each axis once, got {dim!r}")
    return axes


@np.errstate(all="ignore")
def sum(x: np.ndarray, dim: int | Sequence[int] | None = None, keepdim: bool = False) -> np.ndarray:
    """Return the sum of x over `dim` (an axis, a tuple of axes, or None for all). Raises TypeError,
    ValueError.

    >>> sum(np.array([[1.0, 2.0], [3.0, 4.0]]), dim=0)
    array([4., 6.])
    """
    x = check.array("sum", "x", x)
    axes = _axes("sum", dim, x.ndim)
    total = x.sum(axis=axes, keepdims=bool(keepdim), dtype=check.accumulator(x.dtype))
    return np.asarray(total, dtype=x.dtype)


@np.errstate(all="ignore")
def mean(
    x: np.ndarray, dim: int | Sequence[int] | None = None, keepdim: bool = False
) -> np.ndarray:
    """Return the mean of x over `dim`; the mean of nothing is nan. Raises TypeError, ValueError.

    >>> mean(np.array([[1.0, 2.0], [3.0, 4.0]]), dim=0)
    array([2., 3.])
    """
    x = check.array("mean", "x", x)
    axes = _axes("mean", dim, x.ndim)
    total = x.sum(axis=axes, keepdims=bool(keepdim), dtype=check.accumulator(x.dtype))
    count = np.float64(math.prod(x.shape[a] for a in axes))
    return np.asarray(total / count, dtype=x.dtype)


def max(
    x: np.ndarray, dim: int | None = None, keepdim: bool = False
) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
    """Return the largest value of x, or (values, int64 indices) along an axis; the first winner
    counts, NaN wins.

    Raises TypeError for a wrong dtype, ValueError for a wrong axis or when there is nothing to
    choose from.

    >>> max(np.array([[1.0, 2.0], [3.0, 0.0]]), dim=1)
    (array([2., 3.]), array([1, 0]))
    """
    x = check.array("max", "x", x)
    axis = None if dim is None else check.axis("max", dim, x.ndim)
    if (x.size if axis is None else x.shape[axis]) == 0:
        raise ValueError(f"max: x must not be empty along dim {dim}, got shape {x.shape}")
    if axis is None:
        return np.asarray(x.max(keepdims=bool(keepdim)), dtype=x.dtype)
    values = np.asarray(x.max(axis=axis, keepdims=bool(keepdim)), dtype=x.dtype)
    indices = np.asarray(x.argmax(axis=axis, keepdims=bool(keepdim)), dtype=np.int64)
    return values, indices
