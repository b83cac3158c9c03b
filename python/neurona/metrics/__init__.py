"""Metrics: numbers that tell how good predictions are.

Each metric is a class that sums over batches (`update`, `compute`, `reset`), so that an evaluation
needs no more memory than a batch. Outputs are logits or probabilities (N, C); targets are class
indices (N,) of any integer type. Sums are kept as integers or float64.
"""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches

from .base import Mean, Metric, as_array
from .binary import (
    BinaryAccuracy,
    BinaryF1,
    BinaryMetric,
    BinaryPrecision,
    BinaryRecall,
    f1,
    precision,
    recall,
)
from .classification import (
    F1,
    Accuracy,
    ConfusionMatrix,
    ErrorRate,
    MeanIoU,
    Mistake,
    Precision,
    Recall,
    TopKAccuracy,
    accuracy,
    confusion_matrix,
    error_rate,
    iou,
    mean_iou,
    misclassified,
    top_k_accuracy,
)
from .regression import MeanAbsoluteError, MeanSquaredError

__all__ = [
    "F1",
    "Accuracy",
    "BinaryAccuracy",
    "BinaryF1",
    "BinaryMetric",
    "BinaryPrecision",
    "BinaryRecall",
    "ConfusionMatrix",
    "ErrorRate",
    "Mean",
    "MeanAbsoluteError",
    "MeanIoU",
    "MeanSquaredError",
    "Metric",
    "Mistake",
    "Precision",
    "Recall",
    "TopKAccuracy",
    "accuracy",
    "as_array",
    "confusion_matrix",
    "error_rate",
    "f1",
    "get",
    "iou",
    "mean_iou",
    "misclassified",
    "precision",
    "recall",
    "top_k_accuracy",
]

_BY_NAME: dict[str, Callable[[], Metric]] = {
    "accuracy": Accuracy,
    "acc": Accuracy,
    "sparse_categorical_accuracy": Accuracy,
    "categorical_accuracy": Accuracy,
    "error_rate": ErrorRate,
    "binary_accuracy": BinaryAccuracy,
    "binary_precision": BinaryPrecision,
    "binary_recall": BinaryRecall,
    "binary_f1": BinaryF1,
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
