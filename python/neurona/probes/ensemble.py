"""Ensemble: several classifiers that vote."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ..nn import Module, ModuleList
from ..tensor import Tensor

VOTINGS = ("soft", "hard")


class Ensemble(Module):
    """Classifiers with outputs (N, C) that are asked one after another; the answer is (N, C) and
    sums to 1 over the classes.

    `voting="soft"` averages their softmax, "hard" counts how often each class had the largest
    score; ties go to the first class, as `argmax` does. The models are trained on their own; the
    result carries no gradient. Raises TypeError for anything but modules, ValueError for an empty
    list, an unknown voting or outputs of different shapes.

    >>> import neurona
    >>> from neurona import nn
    >>> committee = Ensemble([nn.Linear(4, 3) for _ in range(5)])
    >>> committee(neurona.zeros(2, 4)).shape
    (2, 3)
    """

    def __init__(self, models: Iterable[Module], *, voting: str = "soft") -> None:
        super().__init__()
        members = list(models)
        if not members:
            raise ValueError("Ensemble: models must not be empty")
        for position, model in enumerate(members):
            if not isinstance(model, Module):
                raise TypeError(
                    f"Ensemble: models[{position}] must be a Module, got {type(model).__name__}"
                )
        if voting not in VOTINGS:
            raise ValueError(
                f"Ensemble: voting must be one of {', '.join(VOTINGS)}, got {voting!r}"
            )
        self.models = ModuleList(members)
        self.voting = voting

    def forward(self, x: Any) -> Tensor:
        """The shares of the classes, (N, C)."""
        total: np.ndarray | None = None
        for position, model in enumerate(self.models):
            scores = model(x).detach()
            if scores.ndim != 2 or (total is not None and scores.shape != total.shape):
                wanted = "(N, C)" if total is None else total.shape
                raise ValueError(
                    f"Ensemble: models[{position}] must have an output of shape {wanted}, "
                    f"got {tuple(scores.shape)}"
                )
            vote = scores.softmax(1).data if self.voting == "soft" else _ballot(scores.data)
            total = vote.copy() if total is None else total + vote
        assert total is not None  # there is at least one model
        return Tensor(total / len(self.models))


def _ballot(scores: np.ndarray) -> np.ndarray:
    vote = np.zeros_like(scores)
    vote[np.arange(len(scores)), scores.argmax(axis=1)] = 1
    return vote
