"""train_val_split: data that selects between models, set aside from the data that trains them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..random import Generator, permutation
from ..tensor import Tensor


def train_val_split(
    *arrays: Tensor | np.ndarray,
    val_size: float = 0.2,
    stratify: Tensor | np.ndarray | None = None,
    generator: Generator | None = None,
) -> list[Any]:
    """Cut arrays of equal length at random into a training and a validation part: [x_train, x_val,
    y_train, y_val, ...].

    No sample is in both parts. The validation part has round(val_size n) samples; with `stratify`,
    labels (n,), every class has its share of it, to within one sample. `generator` or the default
    one decides, so a seed gives the same split for ever.

    Raises ValueError for lengths that differ, a share outside (0, 1) or one that leaves a part (or
    a class in the training part) empty; TypeError for anything but tensors and arrays.

    >>> import numpy as np
    >>> from neurona.utils.data import train_val_split
    >>> x_train, x_val, y_train, y_val = train_val_split(np.zeros((10, 4)), np.arange(10))
    >>> x_train.shape, x_val.shape, sorted([*y_train, *y_val]) == list(range(10))
    ((8, 4), (2, 4), True)
    """
    op = "train_val_split"
    if not arrays:
        raise ValueError(f"{op}: at least one array must be given, got none")
    for position, value in enumerate(arrays):
        if not isinstance(value, Tensor | np.ndarray):
            raise TypeError(
                f"{op}: item {position} must be a Tensor or an ndarray, got {type(value).__name__}"
            )
        if value.ndim == 0 or len(value) != len(arrays[0]):
            raise ValueError(
                f"{op}: all arrays must have the same length, got shapes "
                f"{[tuple(item.shape) for item in arrays]}"
            )
    if isinstance(val_size, bool) or not isinstance(val_size, int | float | np.floating):
        raise TypeError(f"{op}: val_size must be a number, got {type(val_size).__name__}")
    total = len(arrays[0])
    count = round(total * val_size) if 0.0 < val_size < 1.0 else 0
    if not 0 < count < total:
        raise ValueError(
            f"{op}: val_size must be in (0, 1) and leave samples on both sides, got {val_size} "
            f"of {total}"
        )
    order = permutation(total, generator=generator)
    held = np.zeros(total, bool)
    held[order[:count] if stratify is None else _stratified(op, stratify, order, count)] = True
    train, validation = np.flatnonzero(~held), np.flatnonzero(held)
    return [_rows(value, part) for value in arrays for part in (train, validation)]


def _stratified(op: str, stratify: Any, order: np.ndarray, count: int) -> np.ndarray:
    """`count` positions, of each class in proportion; the largest remainders take what is left."""
    labels = stratify.data if isinstance(stratify, Tensor) else np.asarray(stratify)
    if labels.shape != (len(order),):
        raise ValueError(f"{op}: stratify must have shape ({len(order)},), got {labels.shape}")
    classes, sizes = np.unique(labels, return_counts=True)
    if sizes.min() < 2:
        raise ValueError(
            f"{op}: stratify must have at least 2 samples of each class, got "
            f"{int(sizes.min())} of {classes[sizes.argmin()]!r}"
        )
    shares = sizes * (count / len(order))
    takes = np.array([math.floor(share) for share in shares])
    takes[np.argsort(takes - shares, kind="stable")[: count - takes.sum()]] += 1
    if (takes == sizes).any():
        raise ValueError(
            f"{op}: val_size must leave every class a training sample, got {count} of {len(order)}"
        )
    shuffled = labels[order]
    chosen = [order[shuffled == label][:take] for label, take in zip(classes, takes, strict=True)]
    return np.concatenate(chosen)


def _rows(value: Tensor | np.ndarray, rows: np.ndarray) -> Tensor | np.ndarray:
    if isinstance(value, Tensor):
        return Tensor(value.data.take(rows, axis=0))
    return value.take(rows, axis=0)
