"""Weights of classes from how often they occur."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..tensor import Tensor

KINDS = ("balanced", "inverse")


def _labels(op: str, name: str, values: Any) -> np.ndarray:
    array = values.data if isinstance(values, Tensor) else np.asarray(values)
    if array.ndim != 1 or array.size == 0:
        raise ValueError(f"{op}: {name} must have shape (N,) with N >= 1, got {array.shape}")
    if array.dtype.kind not in "iu":
        raise TypeError(f"{op}: {name} must have an integer dtype, got {array.dtype}")
    return array


def compute_class_weight(
    class_weight: str | Mapping[int, float] | None, *, classes: Any = None, y: Any
) -> np.ndarray:
    """One weight (K,) in float32 for each of `classes`, from the labels y (N,).

    "balanced" gives n / (k n_i) for n labels, k classes and n_i labels of class i, so that the
    weights of all labels add up to n; "inverse" gives n / n_i, one over the frequency. A mapping
    names weights itself (1 where it is silent), None gives ones. `classes` are 0..max(y) unless
    told; the result is what `CrossEntropyLoss(weight=)` takes when they are 0..K-1. Raises
    ValueError for labels that are not among the classes and for a class without a label, whose
    weight would be infinite; TypeError for labels that are no integers.

    >>> import numpy as np
    >>> from neurona.utils import compute_class_weight
    >>> compute_class_weight("inverse", y=np.repeat([0, 1, 2], [80, 10, 10]))
    array([ 1.25, 10.  , 10.  ], dtype=float32)
    """
    op = "compute_class_weight"
    labels = _labels(op, "y", y)
    if classes is None:
        if labels.min() < 0:
            raise ValueError(f"{op}: y must be >= 0 unless classes is given, got {labels.min()}")
        names = np.arange(int(labels.max()) + 1)
    else:
        names = _labels(op, "classes", classes)
        if len(np.unique(names)) != len(names):
            raise ValueError(f"{op}: classes must name each class once, got {names.tolist()}")
    strange = labels[~np.isin(labels, names)]
    if strange.size:
        raise ValueError(f"{op}: y must hold labels among classes, got {strange[0]}")
    if class_weight is None:
        return np.ones(len(names), np.float32)
    if isinstance(class_weight, Mapping):
        unknown = [name for name in class_weight if name not in names]
        if unknown:
            raise ValueError(f"{op}: class_weight must name classes only, got {unknown[0]}")
        return np.array([class_weight.get(int(name), 1.0) for name in names], np.float32)
    if class_weight not in KINDS:
        raise ValueError(
            f"{op}: class_weight must be one of {KINDS}, a mapping or None, got {class_weight!r}"
        )
    counts = np.array([np.count_nonzero(labels == name) for name in names])
    if not counts.all():
        raise ValueError(
            f"{op}: y must hold every class, got no label {names[int(np.argmin(counts))]}"
        )
    weights = len(labels) / counts
    return (weights / len(names) if class_weight == "balanced" else weights).astype(np.float32)
