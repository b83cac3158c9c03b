"""Cross-entropy of logits against classes or class probabilities, and its gradient in the same
pass.

For row i with logits x (C,), class weights w (C,) and smoothing e, the loss is l_i = -sum_c a_c
log_softmax(x)_c with
    class t:           a_c = (1 - e) w_t [c = t] + e / C w_c
    probabilities t_c: a_c = w_c ((1 - e) t_c + e / C)
and its gradient is dx_c = softmax(x)_c sum_j a_j - a_c. "mean" divides the sum of the rows by the
sum of the weights w_t of the rows whose class is not `ignore_index` (nan when there is none), or by
N for probabilities. Label smoothing is that of Szegedy et al. 2016.
"""

from __future__ import annotations

import numpy as np

from . import _checks as check
from .softmax import log_softmax_forward

REDUCTIONS = ("mean", "sum", "none")


def checked_classes(
    op: str, target: np.ndarray, rows: int, classes: int, ignore_index: int
) -> np.ndarray:
    """int64 class numbers (N,), each of them 0..C-1 or ignore_index."""
    if target.shape != (rows,):
        raise ValueError(f"{op}: target must have shape ({rows},), got shape {target.shape}")
    # An unsigned 64-bit label beyond int64 must not wrap around into the valid range.
    wrong = (target < 0) | (target >= classes)
    wrong &= target != ignore_index
    if wrong.any():
        first = int(np.argmax(wrong))
        raise ValueError(
            f"{op}: target must be in 0..{classes - 1} or ignore_index ({ignore_index}), "
            f"got {target[first]} at position {first}"
        )
    return target.astype(np.int64)


def _checked_target(op: str, target: np.ndarray, x: np.ndarray, ignore_index: int) -> np.ndarray:
    if not isinstance(target, np.ndarray):
        raise TypeError(f"{op}: target must be a numpy.ndarray, got {type(target).__name__}")
    if np.issubdtype(target.dtype, np.integer):
        return checked_classes(op, target, x.shape[0], x.shape[1], ignore_index)
    target = check.array(op, "target", target)
    if target.ndim == 1:
        raise TypeError(
            f"{op}: target of shape (N,) must have an integer dtype, got {target.dtype}; use "
            ".astype(np.int64)"
        )
    check.same_dtype(op, "target", target, "x", x)
    check.shape(op, "target", target, x.shape)
    if ignore_index >= 0:
        raise ValueError(
            f"{op}: ignore_index must be negative when target holds probabilities, got "
            f"{ignore_index}"
        )
    return target


def checked_weight(op: str, weight: np.ndarray | None, x: np.ndarray) -> np.ndarray | None:
    """Class weights (C,) >= 0 of x's dtype, or None."""
    weight = check.optional_array(op, "weight", weight, "(C,)")
    check.same_dtype(op, "weight", weight, "x", x)
    check.shape(op, "weight", weight, x.shape[1:])
    if weight is not None and not (weight >= 0).all():
        raise ValueError(f"{op}: weight must be >= 0 for every class, got {weight}")
    return weight


@np.errstate(all="ignore")
def cross_entropy_forward(
    x: np.ndarray,
    target: np.ndarray,
    *,
    weight: np.ndarray | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
    with_grad: bool = True,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the loss of logits x (N, C) and its gradient dx (N, C) for an upstream gradient of 1
    (None if not wanted).

    target holds classes (N,) of any integer type or probabilities (N, C); weight is (C,). The loss
    is 0-d, or (N,) for reduction "none", where dx holds the gradient of each row's own loss. Raises
    TypeError for a wrong dtype, ValueError for shapes, classes or parameters that do not fit.

    >>> loss, dx = cross_entropy_forward(np.zeros((1, 2)), np.array([1]))
    >>> float(loss.round(4)), dx
    (0.6931, array([[ 0.5, -0.5]]))
    """
    op = "cross_entropy"
    x = check.array(op, "x", x, "(N, C)")
    check.no_empty_axis(op, "x", x, "NC")
    ignore_index = check.integer(op, "ignore_index", ignore_index, -(2**63), 2**63 - 1)
    check.choice(op, "reduction", reduction, REDUCTIONS)
    smoothing = check.fraction(op, "label_smoothing", label_smoothing)
    weight = checked_weight(op, weight, x)
    target = _checked_target(op, target, x, ignore_index)

    n, c = x.shape
    wide = x.astype(check.accumulator(x.dtype))
    class_weights = np.ones(c, wide.dtype) if weight is None else weight.astype(wide.dtype)
    log_p = log_softmax_forward(wide, 1)
    if target.ndim == 2:
        kept = np.ones(n, bool)
        divisor = float(n)
        a = class_weights * ((1 - smoothing) * target + smoothing / c)
        losses = -(a * log_p).sum(axis=1)
    else:
        kept = target != ignore_index
        picked = np.where(kept, target, 0)
        row_weights = np.where(kept, class_weights[picked], 0)
        divisor = row_weights.sum()
        a = np.broadcast_to(smoothing / c * class_weights, (n, c)).copy()
        a[np.arange(n), picked] += (1 - smoothing) * row_weights
        # The other classes enter through smoothing alone: without it, their logit of -inf must
        # not give 0 * inf.
        losses = -(1 - smoothing) * row_weights * log_p[np.arange(n), picked]
        if smoothing > 0:
            losses = losses - smoothing / c * (class_weights * log_p).sum(axis=1)
        losses = np.where(kept, losses, 0)

    dx = None
    if with_grad:
        gradient = np.exp(log_p) * a.sum(axis=1, keepdims=True) - a
        if reduction == "mean":
            gradient = gradient / divisor
        dx = np.where(kept[:, None], gradient, 0).astype(x.dtype)
    if reduction == "none":
        return losses.astype(x.dtype), dx
    loss = losses.sum() / divisor if reduction == "mean" else losses.sum()
    return np.asarray(loss, dtype=x.dtype), dx
