"""Losses of probabilities, element by element: binary cross-entropy and divergence."""

from __future__ import annotations

from .pointwise_loss import PointwiseLoss


class BCE(PointwiseLoss):
    """-(t log x + (1 - t) log(1 - x)); dx = (x - t) / (x (1 - x))."""

    __slots__ = ()
    loss = "bce"


class BCEWithLogits(PointwiseLoss):
    """(1 - t) x + (1 + (w - 1) t) softplus(-x), w the weight of the positive class (1 for None).

    Without w the gradient is sigmoid(x) - t.
    """

    __slots__ = ()
    loss = "bce_with_logits"


class KLDiv(PointwiseLoss):
    """t (log t - x) with x = log q and 0 log 0 = 0."""

    __slots__ = ()
    loss = "kl_div"


class KLDivLog(PointwiseLoss):
    """e^t (t - x) with x = log q: the divergence whose target comes as its logarithm."""

    __slots__ = ()
    loss = "kl_div_log"
