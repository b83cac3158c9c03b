"""Distances between rows, and the losses that learn them."""

from __future__ import annotations

import math

from ...tensor import Tensor
from .. import functional as F
from ..checks import choice, flag, number, positive
from ..functional.loss.distance import DISTANCES
from ..module import Module
from .base import Loss


def _power(layer: str, p: float) -> float:
    return math.inf if p == math.inf else positive(layer, "p", p)


class PairwiseDistance(Module):
    """(sum_k |x1_k - x2_k + eps|^p)^(1/p) between the rows of x1 (N, D) and x2 (N, D).

    Raises ValueError unless p > 0.

    >>> import neurona
    >>> from neurona import nn
    >>> nn.PairwiseDistance(1.0, eps=0.0)(neurona.tensor([[3.0, 4.0]]), neurona.zeros(1, 2))
    tensor([7.])
    """

    def __init__(self, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> None:
        super().__init__()
        self.norm = _power("PairwiseDistance", p)
        self.eps = number("PairwiseDistance", "eps", eps, 0.0)
        self.keepdim = flag("PairwiseDistance", "keepdim", keepdim)

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        """x1 (N, D) and x2 (N, D) -> (N), or (N, 1) with keepdim."""
        return F.pairwise_distance(x1, x2, self.norm, self.eps, self.keepdim)


class ContrastiveLoss(Loss):
    """t d^2 + (1 - t) max(0, margin - d)^2 for pairs of embeddings at distance d; t is 1 for pairs
    of one class, 0 for others.

    `squared_neg=False` leaves the second term unsquared; `distance` is "l2" or "l1". Raises
    ValueError for margin <= 0. Paper: Hadsell, Chopra & LeCun 2006.

    >>> import neurona
    >>> from neurona import nn
    >>> a, b, same = neurona.ones(2, 1), neurona.tensor([[2.0], [3.0]]), neurona.tensor([1, 0])
    >>> nn.ContrastiveLoss(4.0, squared_neg=False, reduction="sum")(a, b, same).item()
    3.0
    """

    def __init__(
        self,
        margin: float = 1.0,
        *,
        squared_neg: bool = True,
        distance: str = "l2",
        reduction: str = "mean",
    ) -> None:
        super().__init__(reduction=reduction)
        self.margin = positive("ContrastiveLoss", "margin", margin)
        self.squared_neg = flag("ContrastiveLoss", "squared_neg", squared_neg)
        self.distance = choice("ContrastiveLoss", "distance", distance, DISTANCES)

    def forward(self, input1: Tensor, input2: Tensor, target: Tensor) -> Tensor:
        """Embeddings (N, D), embeddings (N, D) and targets (N) -> loss."""
        return F.contrastive_loss(
            input1,
            input2,
            target,
            self.margin,
            squared_neg=self.squared_neg,
            distance=self.distance,
            reduction=self.reduction,
        )

    def extra_repr(self) -> str:
        return f"margin={self.margin:g}, {super().extra_repr()}"


class TripletMarginLoss(Loss):
    """max(0, margin + d(a, p) - d(a, n)) for embeddings (N, D) of anchors, positives, negatives.

    d is `PairwiseDistance` with `p` and `eps`. `squared=True` takes d^2, the form of Schroff et
    al. 2015, and `distance="l2"` or "l1" names the distance in place of `p`; both leave `eps` out.
    `swap` uses d(p, n) where it is smaller than d(a, n) (Balntas et al. 2016). Raises ValueError
    for margin <= 0.

    >>> import neurona
    >>> from neurona import nn
    >>> a, p, n = neurona.tensor([[1.0]]), neurona.tensor([[2.0]]), neurona.tensor([[3.0]])
    >>> nn.TripletMarginLoss(4.0, distance="l1")(a, p, n).item()
    3.0
    """

    def __init__(
        self,
        margin: float = 1.0,
        p: float = 2.0,
        eps: float = 1e-6,
        swap: bool = False,
        size_average: None = None,
        reduce: None = None,
        reduction: str = "mean",
        *,
        squared: bool = False,
        distance: str | None = None,
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.margin = positive("TripletMarginLoss", "margin", margin)
        self.p = _power("TripletMarginLoss", p)
        self.eps = number("TripletMarginLoss", "eps", eps, 0.0)
        self.swap = flag("TripletMarginLoss", "swap", swap)
        self.squared = flag("TripletMarginLoss", "squared", squared)
        if distance is not None:
            choice("TripletMarginLoss", "distance", distance, DISTANCES)
        self.distance = distance

    def forward(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        """Embeddings (N, D) of anchors, positives and negatives -> loss."""
        return F.triplet_margin_loss(
            anchor,
            positive,
            negative,
            self.margin,
            self.p,
            self.eps,
            self.swap,
            reduction=self.reduction,
            squared=self.squared,
            distance=self.distance,
        )

    def extra_repr(self) -> str:
        return f"margin={self.margin:g}, {super().extra_repr()}"
