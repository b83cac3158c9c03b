"""One step of an optimizer that adapts the step of each element, over all parameters, in place.

    Adagrad   G += g^2;  p -= lr / (1 + (t - 1) lr_decay) g / (sqrt(G) + eps)
    RMSprop   G = alpha G + (1 - alpha) g^2;  q = g / (sqrt(G) + eps);  b = momentum b + q;
              p -= lr b, or lr q without momentum
    Adadelta  G = rho G + (1 - rho) g^2;  d = sqrt(D + eps) / sqrt(G + eps) g;
              D = rho D + (1 - rho) d^2;  p -= lr d
    Adamax    m = b1 m + (1 - b1) g;  u = max(b2 u, |g| + eps);  p -= lr / (1 - b1^t) m / u
    NAdam     m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g^2;
              p -= (gradient_rate g + mean_rate m) / (sqrt(v) / sqrt(1 - b2^t) + eps)

Weight decay adds to g. With eps_inside the denominator of the first two is sqrt(G + eps). Duchi,
Hazan and Singer 2011; Tieleman and Hinton 2012; Zeiler 2012; Kingma and Ba 2015; Dozat 2016.
Everything is checked before anything changes.
"""

from __future__ import annotations

import math

import numpy as np

from . import _checks as check
from .optim import Arrays, checked_lists


def _share(op: str, name: str, value: float) -> float:
    return check.number(op, name, value, "in [0, 1]", lambda v: 0 <= v <= 1)


def _beta(op: str, name: str, value: float) -> float:
    return check.number(op, name, value, "in [0, 1)", lambda v: 0 <= v < 1)


def _non_negative(op: str, **values: float) -> None:
    for name, value in values.items():
        check.non_negative(op, name, value)


def _gradient(g: np.ndarray, p: np.ndarray, weight_decay: float, maximize: bool) -> np.ndarray:
    g = -g if maximize else g
    return g + weight_decay * p if weight_decay != 0 else g


def _root(value: np.ndarray, eps: float, eps_inside: bool) -> np.ndarray:
    return np.sqrt(value + eps) if eps_inside else np.sqrt(value) + eps


@np.errstate(all="ignore")
def adagrad_step(
    params: Arrays,
    grads: Arrays,
    sums: Arrays,
    *,
    step: int,
    lr: float,
    lr_decay: float = 0.0,
    eps: float = 1e-10,
    weight_decay: float = 0.0,
    maximize: bool = False,
    eps_inside: bool = False,
) -> None:
    """Update params and sums in place; `step` counts from 1.

    All lists hold arrays of the same shapes. Raises TypeError for a wrong dtype, ValueError for
    lists, shapes or ranges that do not fit or read-only arrays.

    >>> p, total = np.array([1.0]), np.zeros(1)
    >>> adagrad_step([p], [np.array([2.0])], [total], step=1, lr=0.25)
    >>> p.round(4), total
    (array([0.75]), array([4.]))
    """
    op = "adagrad_step"
    _non_negative(op, lr=lr, lr_decay=lr_decay, eps=eps, weight_decay=weight_decay)
    step = check.integer(op, "step", step, 1, 2**63 - 1)
    checked_lists(op, params, {"grads": grads, "sums": sums}, {"params", "sums"})
    rate = lr / (1 + (step - 1) * lr_decay)
    for p, grad, total in zip(params, grads, sums, strict=True):
        g = _gradient(grad, p, weight_decay, maximize)
        total[...] = total + g * g
        p[...] = p - rate * (g / _root(total, eps, eps_inside))


@np.errstate(all="ignore")
def rmsprop_step(
    params: Arrays,
    grads: Arrays,
    square_avgs: Arrays,
    buffers: Arrays | None,
    *,
    lr: float,
    alpha: float = 0.99,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    momentum: float = 0.0,
    maximize: bool = False,
    eps_inside: bool = False,
) -> None:
    """Update params, square_avgs and, when momentum != 0, buffers in place.

    All lists hold arrays of the same shapes; buffers may be None when momentum == 0. Raises
    TypeError and ValueError as `adagrad_step`.

    >>> p, average = np.array([1.0]), np.zeros(1)
    >>> rmsprop_step([p], [np.array([2.0])], [average], None, lr=0.25, alpha=0.75)
    >>> p.round(4), average
    (array([0.5]), array([1.]))
    """
    op = "rmsprop_step"
    _non_negative(op, lr=lr, eps=eps, weight_decay=weight_decay, momentum=momentum)
    alpha = _share(op, "alpha", alpha)
    others = {"grads": grads, "square_avgs": square_avgs}
    if momentum != 0:
        if buffers is None:
            raise ValueError(f"{op}: buffers must be given when momentum != 0, got None")
        others["buffers"] = buffers
    checked_lists(op, params, others, {"params", "square_avgs", "buffers"})
    for i, p in enumerate(params):
        g, average = _gradient(grads[i], p, weight_decay, maximize), square_avgs[i]
        average[...] = alpha * average + (1 - alpha) * g * g
        move = g / _root(average, eps, eps_inside)
        if momentum != 0 and buffers is not None:
            buffers[i][...] = momentum * buffers[i] + move
            move = buffers[i]
        p[...] = p - lr * move


@np.errstate(all="ignore")
def adadelta_step(
    params: Arrays,
    grads: Arrays,
    square_avgs: Arrays,
    acc_deltas: Arrays,
    *,
    lr: float,
    rho: float = 0.9,
    eps: float = 1e-6,
    weight_decay: float = 0.0,
    maximize: bool = False,
) -> None:
    """Update params, square_avgs and acc_deltas in place.

    All lists hold arrays of the same shapes. Raises TypeError and ValueError as `adagrad_step`.

    >>> p, average, moved = np.array([1.0]), np.zeros(1), np.zeros(1)
    >>> adadelta_step([p], [np.array([2.0])], [average], [moved], lr=1.0)
    >>> p.round(4)
    array([0.9968])
    """
    op = "adadelta_step"
    _non_negative(op, lr=lr, eps=eps, weight_decay=weight_decay)
    rho = _share(op, "rho", rho)
    others = {"grads": grads, "square_avgs": square_avgs, "acc_deltas": acc_deltas}
    checked_lists(op, params, others, {"params", "square_avgs", "acc_deltas"})
    for p, grad, average, moved in zip(params, grads, square_avgs, acc_deltas, strict=True):
        g = _gradient(grad, p, weight_decay, maximize)
        average[...] = rho * average + (1 - rho) * g * g
        delta = np.sqrt(moved + eps) / np.sqrt(average + eps) * g
        moved[...] = rho * moved + (1 - rho) * delta * delta
        p[...] = p - lr * delta


@np.errstate(all="ignore")
def adamax_step(
    params: Arrays,
    grads: Arrays,
    exp_avgs: Arrays,
    exp_infs: Arrays,
    *,
    step: int,
    lr: float,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    maximize: bool = False,
) -> None:
    """Update params, exp_avgs and exp_infs in place; `step` counts from 1.

    All lists hold arrays of the same shapes. Raises TypeError and ValueError as `adagrad_step`.

    >>> p, mean, largest = np.array([1.0]), np.zeros(1), np.zeros(1)
    >>> adamax_step([p], [np.array([2.0])], [mean], [largest], step=1, lr=0.25)
    >>> p.round(4)
    array([0.75])
    """
    op = "adamax_step"
    _non_negative(op, lr=lr, eps=eps, weight_decay=weight_decay)
    step = check.integer(op, "step", step, 1, 2**63 - 1)
    beta1, beta2 = _beta(op, "beta1", beta1), _beta(op, "beta2", beta2)
    others = {"grads": grads, "exp_avgs": exp_avgs, "exp_infs": exp_infs}
    checked_lists(op, params, others, {"params", "exp_avgs", "exp_infs"})
    rate = lr / (1 - beta1**step)
    for p, grad, mean, largest in zip(params, grads, exp_avgs, exp_infs, strict=True):
        g = _gradient(grad, p, weight_decay, maximize)
        mean[...] = mean + (1 - beta1) * (g - mean)
        largest[...] = np.maximum(beta2 * largest, np.abs(g) + eps)
        p[...] = p - rate * (mean / largest)


@np.errstate(all="ignore")
def nadam_step(
    params: Arrays,
    grads: Arrays,
    exp_avgs: Arrays,
    exp_avg_sqs: Arrays,
    *,
    step: int,
    lr: float,
    gradient_rate: float,
    mean_rate: float,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    decoupled: bool = False,
    maximize: bool = False,
) -> None:
    """Update params, exp_avgs and exp_avg_sqs in place; `step` counts from 1.

    The two rates hold lr, which itself only scales decoupled weight decay. All lists hold arrays of
    the same shapes. Raises TypeError and ValueError as `adagrad_step`.

    >>> p, m, v = np.array([1.0]), np.zeros(1), np.zeros(1)
    >>> rates = {"gradient_rate": 0.25, "mean_rate": 0.0}
    >>> nadam_step([p], [np.array([2.0])], [m], [v], step=1, lr=0.25, **rates)
    >>> p.round(4)
    array([0.75])
    """
    op = "nadam_step"
    _non_negative(op, lr=lr, eps=eps, weight_decay=weight_decay)
    _non_negative(op, gradient_rate=gradient_rate, mean_rate=mean_rate)
    step = check.integer(op, "step", step, 1, 2**63 - 1)
    beta1, beta2 = _beta(op, "beta1", beta1), _beta(op, "beta2", beta2)
    others = {"grads": grads, "exp_avgs": exp_avgs, "exp_avg_sqs": exp_avg_sqs}
    checked_lists(op, params, others, {"params", "exp_avgs", "exp_avg_sqs"})
    for p, grad, mean, square in zip(params, grads, exp_avgs, exp_avg_sqs, strict=True):
        kept = p * (1 - lr * weight_decay) if decoupled else p
        # Decoupled decay is taken off before the gradient is used, which does not see it.
        g = _gradient(grad, p, 0.0 if decoupled else weight_decay, maximize)
        mean[...] = mean + (1 - beta1) * (g - mean)
        square[...] = beta2 * square + (1 - beta2) * g * g
        denominator = np.sqrt(square) / math.sqrt(1 - beta2**step) + eps
        p[...] = kept - (gradient_rate * g + mean_rate * mean) / denominator
