"""Distances between the rows of two sets."""

from __future__ import annotations

import numpy as np

from . import _checks as check

# Differences held at once, in numbers: 8 MiB of float64.
_CHUNK = 2**20


@np.errstate(all="ignore")
def pairwise_distances(
    x: np.ndarray, y: np.ndarray, *, distance: str = "l2", squared: bool = False
) -> np.ndarray:
    """Return d(x_i, y_j) as (N, M) in float64, for x (N, D) and y (M, D); `squared` gives d^2.

    `distance` is "l2" or "l1". Differences are taken in float64 before they are squared, so that
    near rows keep their digits. Raises TypeError for a wrong dtype, ValueError for shapes that do
    not fit.

    >>> pairwise_distances(np.array([[0.0, 0.0]]), np.array([[0.0, 0.0], [3.0, 4.0]]))
    array([[0., 5.]])
    """
    op = "pairwise_distances"
    check.choice(op, "distance", distance, ("l2", "l1"))
    if not isinstance(squared, (bool, np.bool_)):
        raise TypeError(f"{op}: squared must be True or False, got {squared!r}")
    x, y = check.array(op, "x", x, "(N, D)"), check.array(op, "y", y, "(M, D)")
    check.same_dtype(op, "y", y, "x", x)
    if x.shape[1] != y.shape[1]:
        raise ValueError(f"{op}: y must have {x.shape[1]} columns as x, got {y.shape[1]}")
    a, b = x.astype(np.float64, copy=False), y.astype(np.float64, copy=False)
    check.memory(op, "the result", (len(a), len(b)), a.dtype)
    found = np.empty((len(a), len(b)))
    rows = max(1, _CHUNK // max(b.size, 1))
    for start in range(0, len(a), rows):
        difference = a[start : start + rows, None] - b
        if distance == "l1":
            part = np.abs(difference).sum(axis=2)
            found[start : start + rows] = part * part if squared else part
        else:
            part = (difference * difference).sum(axis=2)
            found[start : start + rows] = part if squared else np.sqrt(part)
    return found
