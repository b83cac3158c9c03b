"""Losses of differences between two arrays of one shape."""

from __future__ import annotations

from typing import Any

from ....functions.regression_loss import HuberLoss, L1Loss, MSELoss, SmoothL1Loss
from ....tensor import Tensor
from ....tensor.base import apply
from ...checks import number, positive
from ._shared import broadcast_weight, checked_pair


def _difference_loss(
    op: str,
    function: Any,
    input: Tensor,
    target: Tensor,
    size_average: None,
    reduce: None,
    reduction: str,
    weight: Tensor | None,
    *parameters: float,
) -> Tensor:
    """`function` of a checked pair; weighted, "mean" divides by the sum of the weights."""
    x, y = checked_pair(op, input, target, size_average, reduce, reduction)
    if weight is None:
        return apply(function, x, y, reduction, *parameters)
    weights = broadcast_weight(op, "weight", weight, x)
    losses = apply(function, x, y, "none", *parameters) * weights
    if reduction == "none":
        return losses
    total = losses.sum()
    return total if reduction == "sum" else total / weights.expand(x.data.shape).sum()


def mse_loss(
    input: Tensor,
    target: Tensor,
    size_average: None = None,
    reduce: None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
    *,
    scale: float = 1.0,
) -> Tensor:
    """scale (x - target)^2, averaged over all elements by "mean".

    With `scale=0.5` the gradient is the error itself. With `weight` the elements are weighted, and
    "mean" divides by the sum of the weights. Integer targets take the dtype of x. Raises ValueError
    unless the shapes are equal and scale > 0.

    >>> import neurona
    >>> from neurona.nn import functional as F
    >>> F.mse_loss(neurona.tensor([1.0, 3.0]), neurona.tensor([0.0, 0.0]))
    tensor(5.)
    """
    scale = positive("mse_loss", "scale", scale)
    loss = _difference_loss(
        "mse_loss", MSELoss, input, target, size_average, reduce, reduction, weight
    )
    return loss if scale == 1 else loss * scale


def l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: None = None,
    reduce: None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """|x - target|, reduced and weighted as in `mse_loss`; the gradient at 0 is 0.

    >>> import neurona
    >>> from neurona.nn import functional as F
    >>> F.l1_loss(neurona.tensor([1.0, 3.0]), neurona.tensor([0.0, 0.0]))
    tensor(2.)
    """
    return _difference_loss(
        "l1_loss", L1Loss, input, target, size_average, reduce, reduction, weight
    )


def huber_loss(
    input: Tensor,
    target: Tensor,
    reduction: str = "mean",
    delta: float = 1.0,
    weight: Tensor | None = None,
) -> Tensor:
    """e^2 / 2 where |e| < delta, else delta (|e| - delta / 2), for e = x - target.

    Reduced and weighted as in `mse_loss`. Raises ValueError unless delta > 0, and as `mse_loss`.
    Paper: Huber 1964.

    >>> import neurona
    >>> from neurona.nn import functional as F
    >>> F.huber_loss(neurona.tensor([0.5, 10.0]), neurona.zeros(2), reduction="none")
    tensor([0.125, 9.5  ])
    """
    delta = positive("huber_loss", "delta", delta)
    return _difference_loss(
        "huber_loss", HuberLoss, input, target, None, None, reduction, weight, delta
    )


def smooth_l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: None = None,
    reduce: None = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Tensor:
    """e^2 / (2 beta) where |e| < beta, else |e| - beta / 2: the Huber loss divided by its delta.

    beta 0 gives `l1_loss`. Raises ValueError for beta < 0, and as `mse_loss`. Paper: Girshick 2015.

    >>> import neurona
    >>> from neurona.nn import functional as F
    >>> F.smooth_l1_loss(neurona.tensor([0.5, 10.0]), neurona.zeros(2), reduction="none", beta=2.0)
    tensor([0.0625, 9.    ])
    """
    beta = number("smooth_l1_loss", "beta", beta, 0.0)
    return _difference_loss(
        "smooth_l1_loss", SmoothL1Loss, input, target, size_average, reduce, reduction, None, beta
    )
