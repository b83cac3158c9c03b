"""What the losses share: checks of input and target, reductions, the warning of probabilities."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from ....functions.activation import Sigmoid
from ....functions.softmax import LogSoftmax, Softmax
from ....tensor import Tensor
from .._arguments import as_tensor, check_reduction

# The losses that have said that their input looks like probabilities.
_warned: set[str] = set()
_SUM_TOLERANCE = 1e-4


def _rows_sum_to_one(x: np.ndarray) -> bool:
    """Whether (N, C, ...) holds a distribution over C in every row; cheap tests come first."""
    if x.ndim < 2 or x.shape[1] < 2 or x.size == 0 or not 0 <= x.item(0) <= 1:
        return False
    first = x[0].reshape(x.shape[1], -1)[:, 0]
    if not abs(float(first.sum()) - 1) <= _SUM_TOLERANCE:
        return False
    return bool(x.min() >= 0 and np.abs(x.sum(axis=1) - 1).max() <= _SUM_TOLERANCE)


def warn_of_probabilities(op: str, input: Tensor, applied: str = "log_softmax") -> None:
    """Say once for each loss that it wants logits, when it gets what softmax or sigmoid made."""
    if op in _warned:
        return
    if type(input._node) in (Softmax, LogSoftmax) or (
        applied == "sigmoid" and type(input._node) is Sigmoid
    ):
        evidence = f"input comes from {type(input._node).__name__}"
    elif applied == "log_softmax" and input.device == "cpu" and _rows_sum_to_one(input.data):
        evidence = "every row of input sums to 1"
    else:
        return
    _warned.add(op)
    warnings.warn(
        f"{op}: {evidence}, but it must hold logits: {op} applies {applied} itself (said once)",
        UserWarning,
        stacklevel=3,
    )


def as_float(op: str, name: str, value: Any, like: Tensor | None = None) -> Tensor:
    """A float32 or float64 tensor; next to a tensor `like`, integers and booleans take its dtype.

    TypeError for other dtypes, and for two different ones.
    """
    tensor = as_tensor(op, name, value)
    dtype = tensor.data.dtype
    if like is not None:
        if dtype.kind in "iub":
            return Tensor(tensor.data.astype(like.data.dtype))
        if dtype != like.data.dtype:
            raise TypeError(f"{op}: {name} must have dtype {like.data.dtype}, got {dtype}")
    elif dtype not in (np.float32, np.float64):
        raise TypeError(f"{op}: {name} must have dtype float32 or float64, got {dtype}")
    return tensor


def same_shape(op: str, x: Tensor, y: Tensor, name: str = "target", of: str = "input") -> None:
    """ValueError unless both shapes are equal: broadcasting would hide a mistake."""
    if x.data.shape != y.data.shape:
        raise ValueError(
            f"{op}: {name} must have the shape of {of} {x.data.shape}, got shape {y.data.shape}"
        )


def checked_pair(
    op: str, input: Any, target: Any, size_average: Any, reduce: Any, reduction: str
) -> tuple[Tensor, Tensor]:
    """Input and target of an element-wise loss: float tensors of one shape and dtype."""
    x = as_float(op, "input", input)
    y = as_float(op, "target", target, x)
    check_reduction(op, size_average, reduce, reduction)
    same_shape(op, x, y)
    return x, y


def broadcast_weight(op: str, name: str, weight: Any, x: Tensor) -> Tensor:
    """A weight that broadcasts to the shape of x, in x's dtype; TypeError, ValueError otherwise."""
    weights = as_float(op, name, weight, x)
    try:
        fits = np.broadcast_shapes(weights.data.shape, x.data.shape) == x.data.shape
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(
            f"{op}: {name} must broadcast to {x.data.shape}, got shape {weights.data.shape}"
        )
    return weights


def class_weight(op: str, name: str, weight: Any, x: Tensor, classes: int) -> np.ndarray:
    """The array of one weight >= 0 per class, in x's dtype."""
    weights = as_tensor(op, name, weight).data
    if weights.shape != (classes,) or not (weights >= 0).all():
        raise ValueError(
            f"{op}: {name} must hold {classes} numbers >= 0, got shape {weights.shape}"
        )
    return weights.astype(x.data.dtype, copy=False)


def reduced(losses: Tensor, reduction: str) -> Tensor:
    """The losses, their sum, or their mean over all elements."""
    if reduction == "none":
        return losses
    return losses.sum() if reduction == "sum" else losses.mean()


def rows_of(x: Tensor) -> tuple[Tensor, tuple[int, ...]]:
    """(N, C, d1, ...) or (C,) as rows (N d1 ..., C), and the shape of one value per row."""
    shape = x.data.shape
    if len(shape) == 1:
        return x.reshape(1, shape[0]), ()
    last = x.permute(0, *range(2, len(shape)), 1)
    return last.reshape(math.prod(shape[:1] + shape[2:]), shape[1]), shape[:1] + shape[2:]


def check_columns(op: str, x: Tensor, target: Tensor) -> None:
    """ValueError when a target with a class axis has another number of classes than the input."""
    shape, given = x.data.shape, target.data.shape
    if len(shape) < 2 or len(given) != len(shape) or given == shape:
        return
    hint = ""
    if given[:1] + given[2:] == shape[:1] + shape[2:]:
        hint = f": input has {shape[1]} outputs per row, target {given[1]} classes"
    raise ValueError(
        f"{op}: target must have shape {shape[:1] + shape[2:]} (classes) or {shape} (one-hot or "
        f"probabilities), got shape {given}{hint}"
    )


def class_rows(op: str, x: Tensor, target: Tensor) -> tuple[Tensor, Tensor, tuple[int, ...]]:
    """Logits as rows, their class targets in one axis, and the shape of the losses."""
    if x.data.ndim == 0:
        raise ValueError(f"{op}: input must have shape (N, C), (N, C, d1, ...) or (C,), got ()")
    rows, shape = rows_of(x)
    if target.data.shape != shape:
        raise ValueError(
            f"{op}: target must have shape {shape} for an input of shape {x.data.shape}, "
            f"got shape {target.data.shape}"
        )
    return rows, target.reshape(rows.data.shape[0]), shape


def kept_classes(
    op: str, classes: np.ndarray, count: int, ignore_index: int | None
) -> tuple[np.ndarray, np.ndarray]:
    """The rows that are not ignored and their classes; ValueError for one outside 0..count-1."""
    kept = np.ones(classes.shape, bool) if ignore_index is None else classes != ignore_index
    wrong = kept & ((classes < 0) | (classes >= count))
    if wrong.any():
        first = int(np.argmax(wrong))
        other = "" if ignore_index is None else f" or ignore_index ({ignore_index})"
        raise ValueError(
            f"{op}: target must be in 0..{count - 1}{other}, "
            f"got {classes[first]} at position {first}"
        )
    picked = np.flatnonzero(kept)
    return picked, classes[picked].astype(np.int64)


def float_one_hot(op: str, x: Tensor, target: Tensor) -> Tensor:
    """A target of x's shape in integers, as `one_hot` makes it, in x's dtype; others unchanged.

    ValueError unless each row holds one 1 and zeros.
    """
    codes = target.data
    if codes.dtype.kind not in "iub" or codes.ndim < 2 or codes.shape != x.data.shape:
        return target
    if codes.size and not (
        (codes.astype(bool) == codes).all() and (np.count_nonzero(codes, axis=1) == 1).all()
    ):
        raise ValueError(
            f"{op}: target of shape {codes.shape} and dtype {codes.dtype} must hold a single 1 "
            "per row (one-hot), got other rows"
        )
    return Tensor(codes.astype(x.data.dtype))
