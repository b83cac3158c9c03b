"""Choosing triplets: within a batch (online) or over a whole embedded set (offline)."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..nn.checks import flag, integer, positive
from ._arguments import class_labels, known_distance, vectors
from .distances import KINDS, kinds_of, pairwise_distances

# Rows of distances that mine_offline holds at once: enough for the kernel's threads.
_ANCHORS = 64


def count_tuples(labels: Any) -> dict[str, int]:
    """How many tuples the labels (N,) allow: "pairs", of which "positive_pairs" are of one class,
    and "triplets" (anchor, positive, negative).

    >>> import numpy as np
    >>> from neurona.metric_learning import count_tuples
    >>> count_tuples(np.repeat(np.arange(10), 8))["triplets"]
    40320
    """
    counts = np.unique(class_labels("count_tuples", labels), return_counts=True)[1]
    n = int(counts.sum())
    return {
        "pairs": n * (n - 1) // 2,
        "positive_pairs": int((counts * (counts - 1) // 2).sum()),
        "triplets": int((counts * (counts - 1) * (n - counts)).sum()),
    }


def batch_hard(
    embeddings: Any, labels: Any, *, distance: str = "l2"
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each anchor of a batch the farthest positive and the nearest negative: three int64
    arrays of rows, of at most N triplets.

    embeddings (N, D), labels (N,). Anchors alone in their class, or without another class, are left
    out; the first of equal candidates wins. Index the embeddings with the arrays to train: the
    gradient goes through the chosen rows. Raises ValueError for shapes that do not fit. Paper:
    Hermans, Beyer & Leibe 2017.

    >>> import neurona
    >>> from neurona.metric_learning import batch_hard
    >>> x = neurona.tensor([[0.0], [1.0], [3.0], [2.5]])
    >>> [rows.tolist() for rows in batch_hard(x, [0, 0, 0, 1])]
    [[0, 1, 2], [2, 2, 0], [3, 3, 3]]
    """
    op = "batch_hard"
    x = vectors(op, "embeddings", embeddings, wide=False)
    known = class_labels(op, labels, len(x))
    d = pairwise_distances(x, distance=known_distance(op, distance))
    same = known[:, None] == known
    others = ~same
    np.fill_diagonal(same, False)
    anchors = np.flatnonzero(same.any(axis=1) & others.any(axis=1))
    if len(anchors) == 0:
        none = np.zeros(0, np.int64)
        return none, none.copy(), none.copy()
    farthest = np.where(same, d, -1.0).argmax(axis=1)
    nearest = np.where(others, d, np.inf).argmin(axis=1)
    return anchors, farthest[anchors], nearest[anchors]


def mine_offline(
    embeddings: Any,
    labels: Any,
    kind: str = "semi-hard",
    margin: float = 1.0,
    *,
    distance: str = "l2",
    squared: bool = True,
    per_pair: int | None = None,
) -> np.ndarray:
    """All triplets of the given kind ("hard", "semi-hard" or "easy") as rows (anchor, positive,
    negative) of an int64 array (T, 3).

    embeddings (N, D) of a whole training set, labels (N,); kinds are those of `triplet_kind`. There
    can be about N^3 triplets: `per_pair` keeps so many per (anchor, positive), nearest negatives
    first. Raises ValueError for an unknown kind, margin <= 0 and shapes that do not fit.

    >>> import numpy as np
    >>> from neurona.metric_learning import mine_offline
    >>> mine_offline(np.array([[1.0], [2.0], [3.0]]), [0, 0, 1], "semi-hard", margin=4.0)
    array([[0, 1, 2]])
    """
    op = "mine_offline"
    x = vectors(op, "embeddings", embeddings, wide=False)
    known = class_labels(op, labels, len(x))
    if kind not in KINDS:
        raise ValueError(f"{op}: kind must be one of {KINDS}, got {kind!r}")
    margin = positive(op, "margin", margin)
    known_distance(op, distance)
    flag(op, "squared", squared)
    limit = len(x) if per_pair is None else integer(op, "per_pair", per_pair, 1)
    wanted = KINDS.index(kind)
    found = []
    for anchor in range(len(x)):
        if anchor % _ANCHORS == 0:
            near = x[anchor : anchor + _ANCHORS]
            block = pairwise_distances(near, x, distance=distance, squared=squared)
        d = block[anchor % _ANCHORS]
        positives = np.flatnonzero((known == known[anchor]) & (np.arange(len(x)) != anchor))
        negatives = np.flatnonzero(known != known[anchor])
        negatives = negatives[np.argsort(d[negatives], kind="stable")]
        fits = kinds_of(d[positives, None], d[negatives], margin) == wanted
        fits &= np.cumsum(fits, axis=1) <= limit
        p, n = np.nonzero(fits)
        found.append(np.stack([np.full(len(p), anchor), positives[p], negatives[n]], axis=1))
    return np.concatenate(found).astype(np.int64) if found else np.zeros((0, 3), np.int64)
