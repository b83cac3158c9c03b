"""Losses of differences between two arrays of one shape."""

from __future__ import annotations

from ...tensor import Tensor
from .. import functional as F
from ..checks import number, positive
from .base import Loss


class MSELoss(Loss):
    """scale (x - target)^2, averaged over all elements by "mean"; with `scale=0.5` the gradient is
    the error itself. Raises ValueError unless scale > 0.

    >>> import neurona
    >>> from neurona import nn
    >>> nn.MSELoss()(neurona.tensor([1.0, 3.0]), neurona.tensor([0.0, 0.0])).item()
    5.0
    """

    def __init__(
        self,
        size_average: None = None,
        reduce: None = None,
        reduction: str = "mean",
        *,
        scale: float = 1.0,
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.scale = positive("MSELoss", "scale", scale)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """x (*) and target (*) -> loss."""
        return F.mse_loss(input, target, reduction=self.reduction, scale=self.scale)


class L1Loss(Loss):
    """|x - target|, averaged over all elements by "mean"; the gradient at 0 is 0.

    >>> import neurona
    >>> from neurona import nn
    >>> nn.L1Loss()(neurona.tensor([1.0, 3.0]), neurona.tensor([0.0, 0.0])).item()
    2.0
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """x (*) and target (*) -> loss."""
        return F.l1_loss(input, target, reduction=self.reduction)


class HuberLoss(Loss):
    """e^2 / 2 where |e| < delta, else delta (|e| - delta / 2), for e = x - target.

    Raises ValueError unless delta > 0. Paper: Huber 1964.

    >>> import neurona
    >>> from neurona import nn
    >>> nn.HuberLoss("sum")(neurona.tensor([0.5, 10.0]), neurona.zeros(2)).item()
    9.625
    """

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction=reduction)
        self.delta = positive("HuberLoss", "delta", delta)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """x (*) and target (*) -> loss."""
        return F.huber_loss(input, target, self.reduction, self.delta)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, delta={self.delta:g}"


class SmoothL1Loss(Loss):
    """e^2 / (2 beta) where |e| < beta, else |e| - beta / 2: `HuberLoss` divided by its delta.

    beta 0 gives `L1Loss`. Raises ValueError for beta < 0. Paper: Girshick 2015.

    >>> import neurona
    >>> from neurona import nn
    >>> nn.SmoothL1Loss(beta=2.0)(neurona.tensor([10.0]), neurona.zeros(1)).item()
    9.0
    """

    def __init__(
        self,
        size_average: None = None,
        reduce: None = None,
        reduction: str = "mean",
        beta: float = 1.0,
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.beta = number("SmoothL1Loss", "beta", beta, 0.0)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """x (*) and target (*) -> loss."""
        return F.smooth_l1_loss(input, target, None, None, self.reduction, self.beta)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, beta={self.beta:g}"
