"""Metrics of classes: scores (N, C, ...) against class indices (N, ...).

The further axes, where there are any, are pixels, each of which counts as a sample.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .base import Metric, as_array


def labelled(name: str, output: Any, target: Any) -> tuple[np.ndarray, np.ndarray]:
    """Checks output (N, C, ...) against class indices (N, ...), or against class probabilities of
    the output's shape; gives scores (M, C) and labels (M,), a row per sample or pixel.
    """
    scores, labels = as_array(output), as_array(target)
    if scores.ndim < 2:
        raise ValueError(f"{name}: output must have shape (N, C, ...), got {scores.shape}")
    if labels.shape == scores.shape:
        labels = labels.argmax(axis=1)
    wanted = (scores.shape[0], *scores.shape[2:])
    if labels.shape != wanted:
        raise ValueError(f"{name}: target must have shape {wanted}, got {labels.shape}")
    if labels.dtype.kind not in "iu":
        raise TypeError(f"{name}: target must have an integer dtype, got {labels.dtype}")
    classes = scores.shape[1]
    if labels.size:
        worst = int(labels.max()) if labels.max() >= classes else int(labels.min())
        if not 0 <= worst < classes:
            raise ValueError(f"{name}: target must be in 0..{classes - 1}, got {worst}")
    return np.moveaxis(scores, 1, -1).reshape(-1, classes), labels.reshape(-1)


class Accuracy(Metric):
    """Share of samples whose largest score is that of the target; the first wins ties.

    >>> Accuracy()(np.array([[0.1, 0.9], [0.8, 0.2]]), np.array([1, 1]))
    0.5
    """

    name = "accuracy"

    def update(self, output: Any, target: Any) -> None:
        scores, labels = labelled(self.name, output, target)
        self.total += int(np.count_nonzero(scores.argmax(axis=1) == labels))
        self.count += labels.size


class ErrorRate(Metric):
    """Share of samples whose largest score is not that of the target: 1 - accuracy.

    >>> ErrorRate()(np.array([[0.1, 0.9], [0.8, 0.2]]), np.array([1, 1]))
    0.5
    """

    name = "error_rate"
    mode = "min"

    def update(self, output: Any, target: Any) -> None:
        scores, labels = labelled(self.name, output, target)
        self.total += int(np.count_nonzero(scores.argmax(axis=1) != labels))
        self.count += labels.size


class TopKAccuracy(Metric):
    """Share of samples whose target is among the `k` largest scores; ties count for the target.

    >>> TopKAccuracy(k=2)(np.array([[0.5, 0.3, 0.2], [0.5, 0.3, 0.2]]), np.array([1, 2]))
    0.5
    """

    def __init__(self, k: int = 5, name: str | None = None) -> None:
        if not isinstance(k, (int, np.integer)) or isinstance(k, bool):
            raise TypeError(f"TopKAccuracy: k must be an int, got {type(k).__name__}")
        if k < 1:
            raise ValueError(f"TopKAccuracy: k must be >= 1, got {k}")
        self.k = int(k)
        super().__init__(name or f"top_{k}_accuracy")

    def update(self, output: Any, target: Any) -> None:
        scores, labels = labelled(self.name, output, target)
        own = scores[np.arange(labels.size), labels]
        larger = np.count_nonzero(scores > own[:, None], axis=1)
        self.total += int(np.count_nonzero((larger < self.k) & ~np.isnan(own)))
        self.count += labels.size


class ConfusionMatrix(Metric):
    """Counts (C, C): row = true class, column = predicted class; `compute` gives the accuracy.

    >>> matrix = ConfusionMatrix(2)
    >>> matrix.update(np.array([[1.0, 0.0], [1.0, 0.0]]), np.array([0, 1]))
    >>> matrix.matrix.tolist(), matrix.compute()
    ([[1, 0], [1, 0]], 0.5)
    """

    name = "confusion_matrix"

    def __init__(self, num_classes: int, name: str | None = None) -> None:
        if num_classes < 1:
            raise ValueError(f"{type(self).__name__}: num_classes must be >= 1, got {num_classes}")
        self.num_classes = num_classes
        super().__init__(name)

    def reset(self) -> None:
        self.matrix = np.zeros((self.num_classes, self.num_classes), np.int64)

    def update(self, output: Any, target: Any) -> None:
        scores, labels = labelled(self.name, output, target)
        if scores.shape[1] != self.num_classes:
            raise ValueError(
                f"{self.name}: output must have {self.num_classes} classes, got {scores.shape[1]}"
            )
        flat = labels.astype(np.int64) * self.num_classes + scores.argmax(axis=1)
        self.matrix += np.bincount(flat, minlength=self.num_classes**2).reshape(self.matrix.shape)

    def compute(self) -> float:
        total = int(self.matrix.sum())
        return float(np.trace(self.matrix) / total) if total else float("nan")

    def state_dict(self) -> dict[str, Any]:
        return {"matrix": self.matrix.copy()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.matrix = np.array(state["matrix"])


class _PerClass(ConfusionMatrix):
    """Macro average of a ratio per class; a class whose ratio is 0/0 counts as 0."""

    def _ratios(self, hits: np.ndarray, true: np.ndarray, predicted: np.ndarray) -> np.ndarray:
        raise NotImplementedError(type(self).__name__)

    def per_class(self) -> np.ndarray:
        """The ratio of every class, (C,)."""
        hits = np.diag(self.matrix).astype(np.float64)
        with np.errstate(invalid="ignore", divide="ignore"):
            ratios = self._ratios(hits, self.matrix.sum(axis=1), self.matrix.sum(axis=0))
        return np.nan_to_num(ratios, nan=0.0)

    def compute(self) -> float:
        return float(self.per_class().mean())


class MeanIoU(ConfusionMatrix):
    """Mean over the classes of intersection / union of the pixels (or samples) that have the class
    and those predicted to have it; a class that is in neither is left out.

    >>> mean_iou = MeanIoU(3)
    >>> mean_iou.update(np.eye(3)[[0, 0, 1]], np.array([0, 1, 1]))
    >>> mean_iou.per_class().tolist(), mean_iou.compute()
    ([0.5, 0.5, nan], 0.5)
    """

    name = "mean_iou"

    def per_class(self) -> np.ndarray:
        """The ratio of every class, (C,); nan for a class that is in neither."""
        hits = np.diag(self.matrix).astype(np.float64)
        union = self.matrix.sum(axis=0) + self.matrix.sum(axis=1) - hits
        return np.divide(hits, union, out=np.full_like(hits, np.nan), where=union > 0)

    def compute(self) -> float:
        ratios = self.per_class()
        found = ratios[~np.isnan(ratios)]
        return float(found.mean()) if found.size else float("nan")


class Precision(_PerClass):
    """Macro precision: mean over classes of hits / predicted."""

    name = "precision"

    def _ratios(self, hits: np.ndarray, true: np.ndarray, predicted: np.ndarray) -> np.ndarray:
        return hits / predicted


class Recall(_PerClass):
    """Macro recall: mean over classes of hits / true."""

    name = "recall"

    def _ratios(self, hits: np.ndarray, true: np.ndarray, predicted: np.ndarray) -> np.ndarray:
        return hits / true


class F1(_PerClass):
    """Macro F1: mean over classes of 2 hits / (true + predicted)."""

    name = "f1"

    def _ratios(self, hits: np.ndarray, true: np.ndarray, predicted: np.ndarray) -> np.ndarray:
        return 2.0 * hits / (true + predicted)


def accuracy(output: Any, target: Any) -> float:
    """Share of the rows of `output` (N, C) whose largest score is at `target` (N,)."""
    return Accuracy()(output, target)


def confusion_matrix(output: Any, target: Any) -> np.ndarray:
    """Counts (C, C) for scores (N, C) and targets (N,): row = true class, column = predicted."""
    matrix = ConfusionMatrix(as_array(output).shape[-1])
    matrix.update(output, target)
    return matrix.matrix


def error_rate(output: Any, target: Any) -> float:
    """Share of the rows of `output` (N, C) whose largest score is not at `target` (N,)."""
    return ErrorRate()(output, target)


def top_k_accuracy(output: Any, target: Any, k: int = 5) -> float:
    """Share of the rows of `output` (N, C) with `target` (N,) among the k largest scores."""
    return TopKAccuracy(k)(output, target)


def iou(output: Any, target: Any) -> np.ndarray:
    """Intersection over union of every class, (C,), for scores (N, C, ...) and targets (N, ...);
    nan for a class that is neither true nor predicted anywhere.

    >>> iou(np.eye(2)[[0, 0, 1, 1]], np.array([0, 1, 1, 1])).round(4).tolist()
    [0.5, 0.6667]
    """
    metric = MeanIoU(as_array(output).shape[1] if as_array(output).ndim > 1 else 1)
    metric.update(output, target)
    return metric.per_class()


def mean_iou(output: Any, target: Any) -> float:
    """Mean of `iou` over the classes that occur."""
    metric = MeanIoU(as_array(output).shape[1] if as_array(output).ndim > 1 else 1)
    metric.update(output, target)
    return metric.compute()


class Mistake(NamedTuple):
    """A misclassified sample: its position, its true class and the estimated one."""

    position: int
    true: int
    estimated: int


def misclassified(output: Any, target: Any) -> list[Mistake]:
    """The samples whose largest score of `output` (N, C) is not at `target` (N,), in order.

    >>> misclassified(np.array([[0.1, 0.9], [0.8, 0.2]]), np.array([1, 1]))
    [Mistake(position=1, true=1, estimated=0)]
    """
    scores, labels = labelled("misclassified", output, target)
    estimated = scores.argmax(axis=1)
    return [
        Mistake(int(i), int(labels[i]), int(estimated[i]))
        for i in np.flatnonzero(estimated != labels)
    ]
