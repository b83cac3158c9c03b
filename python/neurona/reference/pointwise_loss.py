"""Losses l(x, t) of each element of two arrays of one shape, their sum or mean, and both gradients.

mse              d^2                                               d = x - t
l1               |d|                                               slope 0 at d = 0
huber            d^2 / 2 where |d| < delta, else delta (|d| - delta / 2)
smooth_l1        d^2 / (2 beta) where |d| < beta, else |d| - beta / 2; beta 0 gives l1
hinge            max(0, margin - t x)                              slope 0 at the kink
bce              -(t log x + (1 - t) log(1 - x))                   logarithms are -100 at least
bce_with_logits  (1 - t) x + (1 + (w - 1) t) softplus(-x)          w the weight of the positives
kl_div           t (log t - x)                                     0 log 0 = 0
kl_div_log       e^t (t - x)
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from . import _checks as check
from .cross_entropy import REDUCTIONS

LOSSES = (
    "mse",
    "l1",
    "huber",
    "smooth_l1",
    "hinge",
    "bce",
    "bce_with_logits",
    "kl_div",
    "kl_div_log",
)
# What a logarithm of 0 counts as, so that a certain but wrong prediction costs a finite amount.
LOG_FLOOR = -100.0
# Keeps 1 / (x (1 - x)) finite at x = 0 and 1.
VARIANCE_FLOOR = 1e-12


class Terms(NamedTuple):
    """The loss of each element, and its derivatives by x and by the target."""

    loss: np.ndarray
    by_x: np.ndarray
    by_target: np.ndarray


def _difference(loss: str, d: np.ndarray, parameter: float) -> Terms:
    size = np.abs(d)
    if loss == "mse":
        values, slope = d * d, 2 * d
    elif loss == "l1" or (loss == "smooth_l1" and parameter == 0):
        values, slope = size, np.sign(d)
    elif loss == "huber":
        values = np.where(size < parameter, 0.5 * size * size, parameter * (size - 0.5 * parameter))
        slope = np.clip(d, -parameter, parameter)
    else:
        values = np.where(size < parameter, 0.5 * size * size / parameter, size - 0.5 * parameter)
        slope = np.clip(d / parameter, -1.0, 1.0)
    return Terms(values, slope, -slope)


def _hinge(x: np.ndarray, target: np.ndarray, margin: float) -> Terms:
    missing = margin - target * x
    free = missing <= 0
    return Terms(np.where(free, 0, missing), np.where(free, 0, -target), np.where(free, 0, -x))


def _bce(x: np.ndarray, target: np.ndarray) -> Terms:
    log_x, log_rest = np.maximum(np.log(x), LOG_FLOOR), np.maximum(np.log1p(-x), LOG_FLOOR)
    return Terms(
        (target - 1) * log_rest - target * log_x,
        (x - target) / np.maximum(x * (1 - x), VARIANCE_FLOOR),
        log_rest - log_x,
    )


def _bce_with_logits(x: np.ndarray, target: np.ndarray, weight: np.ndarray | None) -> Terms:
    """softplus(-x) is log1p(e^-|x|) + max(-x, 0), in which no exponential overflows."""
    e = np.exp(-np.abs(x))
    softplus = np.log1p(e) + np.maximum(-x, 0)
    p, rest = np.where(x < 0, e, 1) / (1 + e), np.where(x < 0, 1, e) / (1 + e)
    if weight is None:
        return Terms((1 - target) * x + softplus, p - target, -x)
    return Terms(
        (1 - target) * x + softplus * (1 + (weight - 1) * target),
        (1 - target) * p - weight * target * rest,
        (weight - 1) * softplus - x,
    )


def _kl_div(x: np.ndarray, target: np.ndarray) -> Terms:
    entropy = target * np.log(np.where(target == 0, 1, target))
    return Terms(entropy - target * x, -target, np.log(target) - x + 1)


def _kl_div_log(x: np.ndarray, target: np.ndarray) -> Terms:
    p = np.exp(target)
    return Terms(p * (target - x), -p, (target - x + 1) * p)


def _terms(
    loss: str, x: np.ndarray, target: np.ndarray, parameter: float, weight: np.ndarray | None
) -> Terms:
    if loss == "hinge":
        return _hinge(x, target, parameter)
    if loss == "bce":
        return _bce(x, target)
    if loss == "bce_with_logits":
        return _bce_with_logits(x, target, weight)
    if loss == "kl_div":
        return _kl_div(x, target)
    if loss == "kl_div_log":
        return _kl_div_log(x, target)
    return _difference(loss, x - target, parameter)


def _checked_parameter(op: str, loss: str, parameter: float) -> float:
    if loss == "huber":
        return check.number(op, "parameter", parameter, "finite and > 0", lambda v: 0 < v < np.inf)
    if loss == "smooth_l1":
        return check.non_negative(op, "parameter", parameter)
    return check.number(op, "parameter", parameter)


def _checked_weight(
    op: str, weight: np.ndarray | None, x: np.ndarray, loss: str
) -> np.ndarray | None:
    weight = check.optional_array(op, "pos_weight", weight)
    check.same_dtype(op, "pos_weight", weight, "x", x)
    if weight is None:
        return None
    if loss != "bce_with_logits":
        raise ValueError(
            f"{op}: pos_weight must be None unless loss is 'bce_with_logits', got an array"
        )
    if weight.size != 1 and weight.shape != x.shape:
        raise ValueError(
            f"{op}: pos_weight must hold one value or have the shape of x, {x.shape}, "
            f"got shape {weight.shape}"
        )
    return weight.reshape(()) if weight.size == 1 else weight


@np.errstate(all="ignore")
def pointwise_loss_forward(
    x: np.ndarray,
    target: np.ndarray,
    loss: str,
    *,
    parameter: float = 1.0,
    pos_weight: np.ndarray | None = None,
    reduction: str = "mean",
    with_grad: bool = True,
    with_target_grad: bool = False,
) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
    """Return the loss and its gradients dx and dtarget for an upstream gradient of 1 (None where
    not wanted).

    x and target have one shape; `parameter` is the delta of "huber", the beta of "smooth_l1" and
    the margin of "hinge", `pos_weight` the w of "bce_with_logits", one value or of x's shape. The
    result is 0-d, or of x's shape for reduction "none", where each gradient is that of the
    element's own loss. Raises TypeError for a wrong dtype, ValueError for shapes and parameters
    that do not fit.

    >>> loss, dx, _ = pointwise_loss_forward(np.array([1.0, 3.0]), np.zeros(2), "mse")
    >>> float(loss), dx
    (5.0, array([1., 3.]))
    """
    op = "pointwise_loss"
    x, target = check.array(op, "x", x), check.array(op, "target", target)
    check.same_dtype(op, "target", target, "x", x)
    check.shape(op, "target", target, x.shape)
    check.choice(op, "loss", loss, LOSSES)
    parameter = _checked_parameter(op, loss, parameter)
    weight = _checked_weight(op, pos_weight, x, loss)
    check.choice(op, "reduction", reduction, REDUCTIONS)

    terms = _terms(loss, x, target, parameter, weight)
    gradients = []
    for wanted, slope in ((with_grad, terms.by_x), (with_target_grad, terms.by_target)):
        if reduction == "mean":
            slope = slope * (1 / np.float64(x.size))
        gradients.append(np.asarray(slope, dtype=x.dtype) if wanted else None)
    result = terms.loss
    if reduction != "none":
        result = result.sum(dtype=check.accumulator(x.dtype))
    if reduction == "mean":
        result = result / np.float64(x.size)
    return np.asarray(result, dtype=x.dtype), gradients[0], gradients[1]
