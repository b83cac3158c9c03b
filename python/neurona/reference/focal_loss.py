"""Focal loss of logits against classes, and its gradient in the same pass (Lin et al. 2017).

For row i with logits x (C,), class t, class weights w (C,) and p = softmax(x)_t:
    loss = -w_t (1 - p)^gamma log p          dx_c = g ([c = t] - softmax(x)_c)
    g = w_t (gamma (1 - p)^(gamma - 1) p log p - (1 - p)^gamma)
"mean" divides by the rows whose class is not `ignore_index` (nan when there is none).
"""

from __future__ import annotations

import numpy as np

from . import _checks as check
from .cross_entropy import REDUCTIONS, checked_classes, checked_weight
from .softmax import log_softmax_forward


def _checked_labels(op: str, target: np.ndarray, x: np.ndarray, ignore_index: int) -> np.ndarray:
    if not isinstance(target, np.ndarray):
        raise TypeError(f"{op}: target must be a numpy.ndarray, got {type(target).__name__}")
    if not np.issubdtype(target.dtype, np.integer):
        raise TypeError(
            f"{op}: target must have an integer dtype, got {target.dtype}; use .astype(np.int64)"
        )
    return checked_classes(op, target, x.shape[0], x.shape[1], ignore_index)


@np.errstate(all="ignore")
def focal_loss_forward(
    x: np.ndarray,
    target: np.ndarray,
    *,
    gamma: float = 2.0,
    weight: np.ndarray | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    with_grad: bool = True,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the loss of logits x (N, C) and its gradient dx (N, C) for an upstream gradient of 1
    (None if not wanted).

    target holds classes (N,) of any integer type; weight is (C,). The loss is 0-d, or (N,) for
    reduction "none", where dx holds the gradient of each row's own loss. Raises TypeError for a
    wrong dtype, ValueError for shapes, classes or parameters that do not fit.

    >>> loss, dx = focal_loss_forward(np.zeros((1, 2)), np.array([1]), gamma=1.0)
    >>> float(loss.round(4)), dx.round(4)
    (0.3466, array([[ 0.4233, -0.4233]]))
    """
    op = "focal_loss"
    x = check.array(op, "x", x, "(N, C)")
    check.no_empty_axis(op, "x", x, "NC")
    gamma = check.non_negative(op, "gamma", gamma)
    ignore_index = check.integer(op, "ignore_index", ignore_index, -(2**63), 2**63 - 1)
    check.choice(op, "reduction", reduction, REDUCTIONS)
    weight = checked_weight(op, weight, x)
    target = _checked_labels(op, target, x, ignore_index)

    n, c = x.shape
    wide = x.astype(check.accumulator(x.dtype))
    kept = target != ignore_index
    own = np.arange(n), np.where(kept, target, 0)
    weights = np.where(kept, 1.0 if weight is None else weight[own[1]], 0.0)
    log_p = log_softmax_forward(wide, 1)[own]
    rest = -np.expm1(log_p)  # 1 - p without cancellation where p is near 1
    factor = rest**gamma
    # A logit of -inf costs nothing where the class does not count.
    losses = np.where(weights == 0, 0, -weights * factor * log_p)
    divisor = np.float64(kept.sum()) if reduction == "mean" else 1.0

    dx = None
    if with_grad:
        # At p = 1 the first term tends to 0, though its power may be infinite.
        rising = np.where(rest == 0, 0, gamma * rest ** (gamma - 1) * np.exp(log_p) * log_p)
        slope = np.where(weights == 0, 0, weights * (rising - factor))
        gradient = -slope[:, None] * np.exp(log_softmax_forward(wide, 1))
        gradient[own] = slope * rest
        dx = np.where(kept[:, None], gradient / divisor, 0).astype(x.dtype)
    if reduction == "none":
        return losses.astype(x.dtype), dx
    return np.asarray(losses.sum() / divisor, dtype=x.dtype), dx
