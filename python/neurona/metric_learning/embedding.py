"""Branches that share their parameters, and what an embedding is worth."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import autograd
from ..nn import Module
from ..nn.checks import integer
from ..tensor import Tensor
from ._arguments import class_labels, known_distance, vectors
from .distances import pairwise_distances


class Siamese(Module):
    """The same network applied to each of several inputs; the branches share all parameters.

    Their gradients add up, branch by branch. Raises TypeError unless `base` is a Module, ValueError
    without input. Paper: Bromley et al. 1993.

    >>> import neurona
    >>> from neurona import nn
    >>> from neurona.metric_learning import Siamese
    >>> a, b = Siamese(nn.Linear(4, 2))(neurona.zeros(3, 4), neurona.ones(3, 4))
    >>> a.shape, b.shape
    ((3, 2), (3, 2))
    """

    def __init__(self, base: Module) -> None:
        super().__init__()
        if not isinstance(base, Module):
            raise TypeError(f"Siamese: base must be a Module, got {type(base).__name__}")
        self.base = base

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Inputs -> their embeddings, one for each."""
        if not inputs:
            raise ValueError("Siamese: at least one input must be given, got none")
        return tuple(self.base(input) for input in inputs)


def embed(model: Module, x: Any, batch_size: int = 256) -> Tensor:
    """The outputs of `model` for all rows of x, batch by batch, in evaluation mode, without graph.

    Each module is left in the mode in which it was.

    >>> import neurona
    >>> from neurona import nn
    >>> from neurona.metric_learning import embed
    >>> embed(nn.Linear(4, 2), neurona.zeros(10, 4), batch_size=3).shape
    (10, 2)
    """
    step = integer("embed", "batch_size", batch_size, 1)
    rows = x if isinstance(x, Tensor) else Tensor(np.asarray(x))
    if rows.ndim == 0:
        raise ValueError("embed: x must have shape (N, ...), got ()")
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with autograd.no_grad():
            parts = [model(rows[i : i + step]).data for i in range(0, max(len(rows.data), 1), step)]
    finally:
        for module, training in modes:
            module.training = training
    return Tensor(np.concatenate(parts))


def nearest_neighbor_accuracy(
    embeddings: Any,
    labels: Any,
    queries: Any = None,
    query_labels: Any = None,
    *,
    distance: str = "l2",
) -> float:
    """The share of queries whose nearest embedding has their label (1-NN).

    embeddings (N, D), labels (N,), queries (M, D), query_labels (M,). Without queries each
    embedding is compared with all others. Raises ValueError for shapes that do not fit.

    >>> import numpy as np
    >>> from neurona.metric_learning import nearest_neighbor_accuracy
    >>> nearest_neighbor_accuracy(np.array([[0.0], [0.1], [5.0], [5.2]]), [0, 0, 1, 1])
    1.0
    """
    op = "nearest_neighbor_accuracy"
    x = vectors(op, "embeddings", embeddings)
    known = class_labels(op, labels, len(x))
    known_distance(op, distance)
    if (queries is None) != (query_labels is None):
        raise ValueError(f"{op}: queries and query_labels must come together, got one of them")
    if len(x) < (2 if queries is None else 1):
        raise ValueError(f"{op}: embeddings must have another row to compare, got {len(x)}")
    if queries is None:
        d = pairwise_distances(x, distance=distance)
        np.fill_diagonal(d, np.inf)
        truth = known
    else:
        d = pairwise_distances(queries, x, distance=distance)
        truth = class_labels(op, query_labels, len(d))
    return float(np.mean(known[d.argmin(axis=1)] == truth))
