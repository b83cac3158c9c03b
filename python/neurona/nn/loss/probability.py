"""Losses of probabilities, element by element."""

from __future__ import annotations

import numpy as np

from ...tensor import Tensor
from .. import functional as F
from ..checks import choice, flag
from ..functional.loss.probability import KL_REDUCTIONS
from .base import Loss


class BCELoss(Loss):
    """-weight (t log x + (1 - t) log(1 - x)) for probabilities x and targets t, both (*) in 0..1.

    The negative log-likelihood of a Bernoulli variable; logarithms count as -100 at least. "mean"
    divides by the number of elements. Raises ValueError for values outside 0..1.

    >>> import neurona
    >>> from neurona import nn
    >>> round(nn.BCELoss()(neurona.tensor([0.5, 0.5]), neurona.tensor([1, 0])).item(), 4)
    0.6931
    """

    weight: Tensor | None

    def __init__(
        self,
        weight: Tensor | np.ndarray | None = None,
        size_average: None = None,
        reduce: None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.register_weight("weight", weight)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Probabilities (*) and targets (*) -> loss."""
        return F.binary_cross_entropy(input, target, self.weight, reduction=self.reduction)


class BCEWithLogitsLoss(Loss):
    """Sigmoid and binary cross-entropy in one, finite for every logit; labels may overlap.

    -weight (pos_weight t log p + (1 - t) log(1 - p)) with p = sigmoid(x), for x (*) and t (*).
    "mean" divides by the number of elements, that is by samples and labels. `pos_weight`
    broadcasts against x and weighs the positive side.

    >>> import neurona
    >>> from neurona import nn
    >>> x, t = neurona.tensor([[2.0, -1.0, 0.0]]), neurona.tensor([[1, 0, 1]])
    >>> round(nn.BCEWithLogitsLoss(reduction="sum")(x, t).item(), 4)
    1.1333
    """

    weight: Tensor | None
    pos_weight: Tensor | None

    def __init__(
        self,
        weight: Tensor | np.ndarray | None = None,
        size_average: None = None,
        reduce: None = None,
        reduction: str = "mean",
        pos_weight: Tensor | np.ndarray | None = None,
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.register_weight("weight", weight)
        self.register_weight("pos_weight", pos_weight)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Logits (*) and targets (*) -> loss."""
        return F.binary_cross_entropy_with_logits(
            input, target, self.weight, None, None, self.reduction, self.pos_weight
        )


class KLDivLoss(Loss):
    """t (log t - x): the divergence KL(t || q) for log-probabilities x = log q, the first argument,
    and probabilities t, the second (or their logarithms with `log_target`).

    Both are (N, *). "batchmean" divides the sum by N and gives the mathematical value; "mean"
    divides by the number of elements. Its gradient in x equals that of the cross-entropy against t.
    Paper: Kullback & Leibler 1951.

    >>> import neurona
    >>> from neurona import nn
    >>> p = neurona.tensor([[0.7, 0.3]])
    >>> abs(nn.KLDivLoss(reduction="batchmean")(p.log(), p).item()) < 1e-7
    True
    """

    def __init__(
        self,
        size_average: None = None,
        reduce: None = None,
        reduction: str = "mean",
        log_target: bool = False,
    ) -> None:
        choice("KLDivLoss", "reduction", reduction, KL_REDUCTIONS)
        super().__init__(size_average, reduce, "sum" if reduction == "batchmean" else reduction)
        self.reduction = reduction
        self.log_target = flag("KLDivLoss", "log_target", log_target)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Log-probabilities (N, *) and targets (N, *) -> loss."""
        return F.kl_div(input, target, None, None, self.reduction, self.log_target)
