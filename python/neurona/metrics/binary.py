"""Metrics of two classes at a threshold: scores (N,), (N, 1) or (N, C) against labels.

A sample is predicted to have the class when its score is above the threshold, strictly. Scores are
whatever the model gives out: probabilities with a threshold such as 0.5, logits with 0.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .base import Metric, as_array


def above(name: str, output: Any, threshold: float) -> np.ndarray:
    """Where `output` > `threshold`; raises for a threshold that is no number."""
    if isinstance(threshold, bool) or not isinstance(threshold, int | float | np.number):
        raise TypeError(f"{name}: threshold must be a number, got {type(threshold).__name__}")
    if math.isnan(threshold):
        raise ValueError(f"{name}: threshold must be a number, got nan")
    return as_array(output) > threshold


class BinaryMetric(Metric):
    """Base: counts hits and misses of the class `cls` at `threshold`.

    Output (N,) or (N, 1) holds scores of class 1, targets are 0 or 1, and class 0 is predicted
    where class 1 is not. Output (N, C) holds a score per class, targets are class indices, and
    `cls` is predicted where its own score is above the threshold. Raises ValueError for other
    shapes or labels, TypeError for labels that are neither ints nor bools.
    """

    def __init__(self, threshold: float = 0.5, cls: int = 1, name: str | None = None) -> None:
        above(type(self).__name__, np.zeros(0), threshold)
        if isinstance(cls, bool) or not isinstance(cls, int | np.integer):
            raise TypeError(f"{type(self).__name__}: cls must be an int, got {type(cls).__name__}")
        if cls < 0:
            raise ValueError(f"{type(self).__name__}: cls must be >= 0, got {cls}")
        self.threshold, self.cls = threshold, int(cls)
        super().__init__(name)

    def reset(self) -> None:
        self.true_positives = self.false_positives = 0
        self.false_negatives = self.true_negatives = 0

    def update(self, output: Any, target: Any) -> None:
        predicted, true = self._predicted(as_array(output), as_array(target))
        self.true_positives += int(np.count_nonzero(predicted & true))
        self.false_positives += int(np.count_nonzero(predicted & ~true))
        self.false_negatives += int(np.count_nonzero(~predicted & true))
        self.true_negatives += int(np.count_nonzero(~predicted & ~true))

    def _predicted(self, scores: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Which samples are predicted to be of the class, and which are; (N,) each."""
        if scores.ndim not in (1, 2):
            raise ValueError(
                f"{self.name}: output must have shape (N,) or (N, C), got {scores.shape}"
            )
        classes = 2 if scores.ndim == 1 or scores.shape[1] == 1 else scores.shape[1]
        if self.cls >= classes:
            raise ValueError(f"{self.name}: cls must be in 0..{classes - 1}, got {self.cls}")
        if labels.shape not in ((len(scores),), (len(scores), 1)):
            raise ValueError(
                f"{self.name}: target must have shape ({len(scores)},), got {labels.shape}"
            )
        # A binary cross-entropy takes its labels as floats, so 0.0 and 1.0 are labels as well.
        whole = labels.dtype.kind in "iub" or (
            labels.dtype.kind == "f" and np.isin(labels, (0.0, 1.0)).all()
        )
        if not whole:
            raise TypeError(f"{self.name}: target must hold class indices, got {labels.dtype}")
        labels = labels.reshape(-1).astype(np.int64)
        wrong = (labels < 0) | (labels >= classes)
        if wrong.any():
            raise ValueError(
                f"{self.name}: target must be in 0..{classes - 1}, got {labels[wrong][0]}"
            )
        if scores.ndim == 2 and scores.shape[1] > 1:
            return above(self.name, scores[:, self.cls], self.threshold), labels == self.cls
        predicted = above(self.name, scores.reshape(-1), self.threshold)
        return (predicted if self.cls == 1 else ~predicted), labels == self.cls

    def compute(self) -> float:
        raise NotImplementedError(f"{type(self).__name__}.compute")

    def state_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in _COUNTS}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name in _COUNTS:
            setattr(self, name, state[name])


_COUNTS = ("true_positives", "false_positives", "false_negatives", "true_negatives")


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


class BinaryAccuracy(BinaryMetric):
    """Share of samples on the right side of the threshold; nan without samples.

    >>> BinaryAccuracy()(np.array([0.9, 0.5]), np.array([1, 1]))
    0.5
    """

    name = "binary_accuracy"

    def compute(self) -> float:
        right = self.true_positives + self.true_negatives
        total = right + self.false_positives + self.false_negatives
        return right / total if total else float("nan")


class BinaryPrecision(BinaryMetric):
    """Share of the samples predicted to be of the class that are; 0 if none is predicted."""

    name = "binary_precision"

    def compute(self) -> float:
        return _ratio(self.true_positives, self.true_positives + self.false_positives)


class BinaryRecall(BinaryMetric):
    """Share of the samples of the class that are predicted to be; 0 if there are none."""

    name = "binary_recall"

    def compute(self) -> float:
        return _ratio(self.true_positives, self.true_positives + self.false_negatives)


class BinaryF1(BinaryMetric):
    """Harmonic mean of precision and recall, 2 TP / (2 TP + FP + FN)."""

    name = "binary_f1"

    def compute(self) -> float:
        twice = 2 * self.true_positives
        return _ratio(twice, twice + self.false_positives + self.false_negatives)


def precision(output: Any, target: Any, cls: int = 1, threshold: float = 0.5) -> float:
    """Precision of the class `cls` at `threshold`; see `BinaryMetric` for the shapes.

    >>> precision(np.array([0.2, 0.7, 0.6, 0.8]), np.array([0, 1, 0, 1]))
    0.6666666666666666
    """
    return BinaryPrecision(threshold, cls)(output, target)


def recall(output: Any, target: Any, cls: int = 1, threshold: float = 0.5) -> float:
    """Recall of the class `cls` at `threshold`; see `BinaryMetric` for the shapes."""
    return BinaryRecall(threshold, cls)(output, target)


def f1(output: Any, target: Any, cls: int = 1, threshold: float = 0.5) -> float:
    """F1 of the class `cls` at `threshold`; see `BinaryMetric` for the shapes."""
    return BinaryF1(threshold, cls)(output, target)
