"""Element-wise losses of a difference or a margin."""

from __future__ import annotations

from .pointwise_loss import PointwiseLoss


class MSELoss(PointwiseLoss):
    """(x - target)^2."""

    __slots__ = ()
    loss = "mse"


class L1Loss(PointwiseLoss):
    """|x - target|; the gradient at 0 is 0."""

    __slots__ = ()
    loss = "l1"


class HuberLoss(PointwiseLoss):
    """e^2 / 2 where |e| < delta, else delta (|e| - delta / 2); the slope is e cut to +-delta."""

    __slots__ = ()
    loss = "huber"


class SmoothL1Loss(PointwiseLoss):
    """e^2 / (2 beta) where |e| < beta, else |e| - beta / 2; beta 0 gives |e|."""

    __slots__ = ()
    loss = "smooth_l1"


class HingeLoss(PointwiseLoss):
    """max(0, margin - target x); the gradient at the kink is 0."""

    __slots__ = ()
    loss = "hinge"
