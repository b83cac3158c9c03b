"""Enlarging maps (N, C, H, W): resampling and max unpooling with their gradients, bed of nails.

Resampling reads x along the rows, then along the columns, at taps (below, above, part) of one axis:

    y[i] = x[below[i]] (1 - part[i]) + x[above[i]] part[i],  or x[below[i]] without above and part

The positions never decrease, so that the gradient can add up runs of equal ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import _checks as check

# Positions of what each element of the result reads along one axis, and the share of the second.
Taps = tuple[np.ndarray, np.ndarray | None, np.ndarray | None]


def _indices(op: str, name: str, value: Any) -> np.ndarray:
    """An array of int64."""
    if not isinstance(value, np.ndarray) or isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{op}: {name} must be a numpy.ndarray, got {type(value).__name__}")
    if value.dtype.kind != "i" or value.dtype.itemsize != 8:
        raise TypeError(f"{op}: {name} must have dtype int64, got {value.dtype}")
    return value.astype(np.int64, copy=False)


def _positions(op: str, name: str, value: Any, length: int) -> np.ndarray:
    """Positions (P,) in an axis of this length, in order."""
    found = _indices(op, name, value)
    if found.ndim != 1:
        raise ValueError(f"{op}: {name} must hold positions of shape (P,), got shape {found.shape}")
    if found.size and (found[0] < 0 or found[-1] >= length or (np.diff(found) < 0).any()):
        raise ValueError(
            f"{op}: {name} must hold positions in [0, {length}) that never decrease, got {found}"
        )
    return found


def _taps(op: str, name: str, value: Any, length: int, dtype: np.dtype) -> Taps:
    if not isinstance(value, tuple) or len(value) != 3:
        raise TypeError(
            f"{op}: {name} must be a tuple (below, above, part), got {type(value).__name__}"
        )
    below, above, part = value
    below = _positions(op, name, below, length)
    if (above is None) != (part is None):
        raise TypeError(f"{op}: {name} must have both above and part, or None for both")
    if above is None:
        return below, None, None
    above, part = _positions(op, name, above, length), check.array(op, name, part, "(P,)")
    if not len(below) == len(above) == len(part):
        raise ValueError(
            f"{op}: {name} must hold three arrays of one length, got {len(below)}, {len(above)} "
            f"and {len(part)}"
        )
    return below, above, part.astype(dtype, copy=False)


def _along(values: np.ndarray, axis: int) -> np.ndarray:
    return values[:, None] if axis == 2 else values


def _read(x: np.ndarray, taps: Taps, axis: int) -> np.ndarray:
    below, above, part = taps
    if above is None or part is None:
        return np.take(x, below, axis)
    share = _along(part, axis)
    return np.take(x, below, axis) * (1 - share) + np.take(x, above, axis) * share


def _collect(dy: np.ndarray, positions: np.ndarray, length: int, axis: int) -> np.ndarray:
    """The sums of dy over equal positions: the adjoint of np.take for positions in order."""
    shape = tuple(length if i == axis else n for i, n in enumerate(dy.shape))
    dx = np.zeros(shape, dy.dtype)
    if dy.size:
        starts = np.flatnonzero(np.diff(positions, prepend=-1))
        where = tuple(positions[starts] if i == axis else slice(None) for i in range(4))
        dx[where] = np.add.reduceat(dy, starts, axis)
    return dx


def _spread(dy: np.ndarray, taps: Taps, length: int, axis: int) -> np.ndarray:
    below, above, part = taps
    if above is None or part is None:
        return _collect(dy, below, length, axis)
    share = _along(part, axis)
    return _collect(dy * (1 - share), below, length, axis) + _collect(
        dy * share, above, length, axis
    )


@np.errstate(all="ignore")
def resample2d_forward(x: np.ndarray, rows: Taps, columns: Taps) -> np.ndarray:
    """Return y (N, C, P, Q): x (N, C, H, W) read along both axes at (below, above, part).

    Positions are int64 in order, part is floating; above and part are None where one pixel is read.
    Raises TypeError for a wrong dtype, ValueError for shapes and positions that do not fit.

    >>> twice, all_of_it = (np.array([0, 0]), None, None), (np.array([0, 1]), None, None)
    >>> resample2d_forward(np.array([[[[1.0, 3.0]]]]), twice, all_of_it)
    array([[[[1., 3.],
             [1., 3.]]]])
    """
    op = "resample2d"
    x = check.array(op, "x", x, "(N, C, H, W)")
    down = _taps(op, "rows", rows, x.shape[2], x.dtype)
    across = _taps(op, "columns", columns, x.shape[3], x.dtype)
    check.memory(op, "the result", (*x.shape[:2], len(down[0]), len(across[0])), x.dtype)
    return _read(_read(x, down, 2), across, 3)


@np.errstate(all="ignore")
def resample2d_backward(
    dy: np.ndarray, rows: Taps, columns: Taps, input_size: check.Pair
) -> np.ndarray:
    """Return dx (N, C, H, W), the adjoint of `resample2d_forward`; input_size = (H, W).

    Raises TypeError for a wrong dtype, ValueError for shapes and positions that do not fit.

    >>> twice, all_of_it = (np.array([0, 0]), None, None), (np.array([0, 1]), None, None)
    >>> resample2d_backward(np.array([[[[1.0, 3.0], [2.0, 5.0]]]]), twice, all_of_it, (1, 2))
    array([[[[3., 8.]]]])
    """
    op = "resample2d_backward"
    size = check.pair(op, "input_size", input_size, 1)
    dy = check.array(op, "dy", dy, "(N, C, P, Q)")
    down = _taps(op, "rows", rows, size[0], dy.dtype)
    across = _taps(op, "columns", columns, size[1], dy.dtype)
    if dy.shape[2:] != (len(down[0]), len(across[0])):
        raise ValueError(
            f"{op}: dy must have P, Q = {len(down[0])}, {len(across[0])}, got shape {dy.shape}"
        )
    check.memory(op, "the result", (*dy.shape[:2], *size), dy.dtype)
    return _spread(_spread(dy, down, size[0], 2), across, size[1], 3)


def bed_of_nails_forward(x: np.ndarray, kernel_size: check.Pair) -> np.ndarray:
    """Return y (N, C, H kh, W kw): x at the top left corners of blocks that are 0 elsewhere.

    Raises TypeError for a wrong dtype, ValueError for a block size below 1.

    >>> bed_of_nails_forward(np.array([[[[1.0, 3.0]]]]), (1, 2))
    array([[[[1., 0., 3., 0.]]]])
    """
    op = "bed_of_nails"
    kh, kw = check.pair(op, "kernel_size", kernel_size, 1)
    x = check.array(op, "x", x, "(N, C, H, W)")
    shape = (*x.shape[:2], x.shape[2] * kh, x.shape[3] * kw)
    check.memory(op, "the result", shape, x.dtype)
    y = np.zeros(shape, x.dtype)
    y[..., ::kh, ::kw] = x
    return y


def _places(op: str, indices: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """Indices (N, C, pixels), checked to lie in planes of this size."""
    if indices.size and not (0 <= indices.min() and indices.max() < size[0] * size[1]):
        raise ValueError(
            f"{op}: indices must be in 0..{size[0] * size[1] - 1} for an output of {size}, "
            f"got {indices.min()} to {indices.max()}"
        )
    return indices.reshape(*indices.shape[:2], indices.shape[2] * indices.shape[3])


def max_unpool2d_forward(x: np.ndarray, indices: np.ndarray, output_size: check.Pair) -> np.ndarray:
    """Return y (N, C, H, W): x (N, C, P, Q) at flat positions of planes that are 0 elsewhere.

    output_size = (H, W), indices int64 of x's shape; the last of several values for one place
    stays. Raises TypeError for a wrong dtype, ValueError for shapes and indices that do not fit.

    >>> max_unpool2d_forward(np.array([[[[5.0]]]]), np.array([[[[2]]]]), 2)
    array([[[[0., 0.],
             [5., 0.]]]])
    """
    op = "max_unpool2d"
    size = check.pair(op, "output_size", output_size, 1)
    x, found = check.array(op, "x", x, "(N, C, P, Q)"), _indices(op, "indices", indices)
    if found.shape != x.shape:
        raise ValueError(
            f"{op}: indices must have the shape of x {x.shape}, got shape {found.shape}"
        )
    check.memory(op, "the result", (*x.shape[:2], *size), x.dtype)
    places = _places(op, found, size)
    y = np.zeros((*x.shape[:2], size[0] * size[1]), x.dtype)
    np.put_along_axis(y, places, x.reshape(places.shape), axis=2)
    return y.reshape(*x.shape[:2], *size)


def max_unpool2d_backward(dy: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """Return dx (N, C, P, Q): dy (N, C, H, W) read at the flat positions.

    Raises TypeError for a wrong dtype, ValueError for shapes and indices that do not fit.

    >>> max_unpool2d_backward(np.array([[[[1.0, 2.0], [5.0, 7.0]]]]), np.array([[[[2]]]]))
    array([[[[5.]]]])
    """
    op = "max_unpool2d_backward"
    dy, found = check.array(op, "dy", dy, "(N, C, H, W)"), _indices(op, "indices", indices)
    if found.ndim != 4 or found.shape[:2] != dy.shape[:2]:
        raise ValueError(f"{op}: indices must have N, C of dy {dy.shape}, got shape {found.shape}")
    places = _places(op, found, dy.shape[2:])
    planes = dy.reshape(*dy.shape[:2], dy.shape[2] * dy.shape[3])
    return np.take_along_axis(planes, places, axis=2).reshape(found.shape)
