"""Metrics: numbers that tell how good predictions are.

Each metric is a class that sums over batches (`update`, `compute`, `reset`), so that an evaluation
needs no more memory than a batch. Outputs are logits or probabilities (N, C); targets are class
indices (N,) of any integer type. Sums are kept as integers or float64.
"""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches
from typing import Any

import numpy as np


def as_array(value: Any) -> np.ndarray:
    """The array behind a Tensor, or `numpy.asarray` of anything else."""
    if isinstance(value, np.ndarray):
        return value
    data = getattr(value, "data", None)
    return data if isinstance(data, np.ndarray) else np.asarray(value)


def _classes(name: str, output: Any, target: Any) -> tuple[np.ndarray, np.ndarray]:
    """Checks output (N, C) against target (N,), or class probabilities (N, C), made into (N,)."""
    scores, labels = as_array(output), as_array(target)
    if scores.ndim != 2:
        raise ValueError(f"{name}: output must have shape (N, C), got {scores.shape}")
    if labels.ndim == 2 and labels.shape == scores.shape:
        labels = labels.argmax(axis=1)
    if labels.shape != scores.shape[:1]:
        raise ValueError(f"{name}: target must have shape ({scores.shape[0]},), got {labels.shape}")
    if labels.dtype.kind not in "iu":
        raise TypeError(f"{name}: target must have an integer dtype, got {labels.dtype}")
    if labels.size:
        worst = int(labels.max()) if labels.max() >= scores.shape[1] else int(labels.min())
        if not 0 <= worst < scores.shape[1]:
            raise ValueError(f"{name}: target must be in 0..{scores.shape[1] - 1}, got {worst}")
    return scores, labels


class Metric:
    """Base: `total` over `count`, both summed over batches; `mode` tells which way is better."""

    name = "metric"
    mode = "max"

    def __init__(self, name: str | None = None) -> None:
        if name is not None:
            self.name = name
        self.reset()

    def reset(self) -> None:
        """Forgets all batches."""
        self.total: float = 0
        self.count: float = 0

    def update(self, output: Any, target: Any) -> None:
        """Adds a batch."""
        raise NotImplementedError(f"{type(self).__name__}.update")

    def compute(self) -> float:
        """The value over all batches since `reset`; nan if there were none."""
        return float(self.total / self.count) if self.count else float("nan")

    def state_dict(self) -> dict[str, Any]:
        """The sums, for a checkpoint."""
        return {"total": self.total, "count": self.count}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes back what `state_dict` gave."""
        self.total, self.count = state["total"], state["count"]

    def __call__(self, output: Any, target: Any) -> float:
        """The value of a single batch, apart from the running sums."""
        fresh = type(self).__new__(type(self))
        fresh.__dict__.update(self.__dict__)
        fresh.reset()
        fresh.update(output, target)
        return fresh.compute()


class Mean(Metric):
    """Mean of a number per batch, weighted by the size of the batch (the running loss).

    >>> mean = Mean("loss")
    >>> mean.add(1.0, 3); mean.add(2.0, 1)
    >>> mean.compute()
    1.25
    """

    name = "mean"
    mode = "min"

    def add(self, value: float, count: int) -> None:
        """Adds a batch of `count` samples whose mean is `value`."""
        self.total += value * count
        self.count += count


class Accuracy(Metric):
    """Share of samples whose largest score is that of the target; the first wins ties.

    >>> Accuracy()(np.array([[0.1, 0.9], [0.8, 0.2]]), np.array([1, 1]))
    0.5
    """

    name = "accuracy"

    def update(self, output: Any, target: Any) -> None:
        scores, labels = _classes(self.name, output, target)
        self.total += int(np.count_nonzero(scores.argmax(axis=1) == labels))
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
        scores, labels = _classes(self.name, output, target)
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
        scores, labels = _classes(self.name, output, target)
        if scores.shape[1] != self.num_classes:
            raise ValueError(
                f"{self.name}: output must have shape (N, {self.num_classes}), got {scores.shape}"
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


class _Elementwise(Metric):
    mode = "min"

    def _errors(self, difference: np.ndarray) -> np.ndarray:
        raise NotImplementedError(type(self).__name__)

    def update(self, output: Any, target: Any) -> None:
        values, wanted = as_array(output), as_array(target)
        if values.shape != wanted.shape:
            raise ValueError(
                f"{self.name}: target must have shape {values.shape}, got {wanted.shape}"
            )
        self.total += float(self._errors(values.astype(np.float64) - wanted).sum())
        self.count += values.size


class MeanSquaredError(_Elementwise):
    """Mean of (output - target)^2 over all elements.

    >>> MeanSquaredError()(np.array([1.0, 2.0]), np.array([1.0, 4.0]))
    2.0
    """

    name = "mse"

    def _errors(self, difference: np.ndarray) -> np.ndarray:
        return difference * difference


class MeanAbsoluteError(_Elementwise):
    """Mean of |output - target| over all elements."""

    name = "mae"

    def _errors(self, difference: np.ndarray) -> np.ndarray:
        return np.abs(difference)


_BY_NAME: dict[str, Callable[[], Metric]] = {
    "accuracy": Accuracy,
    "acc": Accuracy,
    "sparse_categorical_accuracy": Accuracy,
    "categorical_accuracy": Accuracy,
    "top_5_accuracy": TopKAccuracy,
    "mse": MeanSquaredError,
    "mean_squared_error": MeanSquaredError,
    "mae": MeanAbsoluteError,
    "mean_absolute_error": MeanAbsoluteError,
}


def get(metric: str | Metric) -> Metric:
    """A metric from its name (`accuracy`, `top_5_accuracy`, `mse`, `mae`), or the object itself.

    Raises `ValueError` for an unknown name, `TypeError` for anything else.
    """
    if isinstance(metric, Metric):
        return metric
    if not isinstance(metric, str):
        raise TypeError(f"metrics: must be a name or a Metric, got {type(metric).__name__}")
    if metric not in _BY_NAME:
        close = get_close_matches(metric, _BY_NAME, 1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise ValueError(f"metrics: must be one of {', '.join(_BY_NAME)}, got {metric!r}{hint}")
    return _BY_NAME[metric]()


def accuracy(output: Any, target: Any) -> float:
    """Share of the rows of `output` (N, C) whose largest score is at `target` (N,)."""
    return Accuracy()(output, target)


def confusion_matrix(output: Any, target: Any) -> np.ndarray:
    """Counts (C, C) for scores (N, C) and targets (N,): row = true class, column = predicted."""
    matrix = ConfusionMatrix(as_array(output).shape[-1])
    matrix.update(output, target)
    return matrix.matrix
