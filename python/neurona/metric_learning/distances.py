"""Distances between all rows of two sets, and the difficulty of a triplet."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..backends import current, named
from ..nn.checks import flag
from ..nn.checks import positive as above_zero
from ._arguments import known_distance, vectors

KINDS = ("hard", "semi-hard", "easy")


def pairwise_distances(
    x: Any, y: Any = None, *, distance: str = "l2", squared: bool = False
) -> np.ndarray:
    """d(x_i, y_j) as an array (N, M) in float64, for x (N, D) and y (M, D), or x itself.

    `distance` is "l2" or "l1"; `squared` gives d^2. Differences are taken before they are squared,
    so that near rows keep their digits. No gradient: mining only looks. Raises ValueError for
    shapes that do not fit.

    >>> import numpy as np
    >>> from neurona.metric_learning import pairwise_distances
    >>> pairwise_distances(np.array([[0.0, 0.0], [3.0, 4.0]]))
    array([[0., 5.],
           [5., 0.]])
    """
    op = "pairwise_distances"
    a = vectors(op, "x", x, wide=False)
    b = a if y is None else vectors(op, "y", y, wide=False)
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"{op}: y must have {a.shape[1]} columns as x, got {b.shape[1]}")
    known_distance(op, distance)
    flag(op, "squared", squared)
    if a.dtype == b.dtype == np.float32:
        backend = current(a.dtype)
    else:
        a, b = a.astype(np.float64, copy=False), b.astype(np.float64, copy=False)
        backend = named("reference")
    return np.asarray(backend.pairwise_distances(a, b, distance=distance, squared=squared))


def kinds_of(near: np.ndarray, far: np.ndarray, margin: float) -> np.ndarray:
    """Codes 0 hard, 1 semi-hard, 2 easy for distances to positives and negatives.

    A tie of both distances is hard (the loss is the whole margin), one with the margin easy (the
    loss is 0).
    """
    return np.where(far <= near, 0, np.where(far < near + margin, 1, 2))


def triplet_kind(
    anchor: Any,
    positive: Any,
    negative: Any,
    margin: float = 1.0,
    *,
    distance: str = "l2",
    squared: bool = True,
) -> list[str]:
    """How hard each triplet of embeddings (N, D) is: "hard", "semi-hard" or "easy".

    Hard: the negative lies nearer than the positive. Semi-hard: it lies farther, but within the
    margin. Easy: beyond the margin, where the triplet loss is 0. Distances are squared as in
    `TripletMarginLoss(squared=True)` unless told. Raises ValueError for shapes that differ and
    margin <= 0. Paper: Schroff et al. 2015.

    >>> import numpy as np
    >>> from neurona.metric_learning import triplet_kind
    >>> a, p, n = np.array([[1.0]]), np.array([[2.0]]), np.array([[3.0]])
    >>> triplet_kind(a, p, n, margin=4.0), triplet_kind(a, p, n, margin=3.0)
    (['semi-hard'], ['easy'])
    """
    op = "triplet_kind"
    margin = above_zero(op, "margin", margin)
    known_distance(op, distance)
    flag(op, "squared", squared)
    a = vectors(op, "anchor", anchor)
    found = []
    for name, value in (("positive", positive), ("negative", negative)):
        b = vectors(op, name, value)
        if b.shape != a.shape:
            raise ValueError(f"{op}: {name} must have the shape of anchor {a.shape}, got {b.shape}")
        length = np.abs(a - b).sum(1) if distance == "l1" else np.sqrt(((a - b) ** 2).sum(1))
        if not squared:
            found.append(length)
        else:
            found.append(length**2 if distance == "l1" else ((a - b) ** 2).sum(1))
    return [KINDS[code] for code in kinds_of(found[0], found[1], margin)]
