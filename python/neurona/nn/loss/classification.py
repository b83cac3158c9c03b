"""Losses of logits (or log-probabilities) against classes."""

from __future__ import annotations

import numpy as np

from ...tensor import Tensor
from .. import functional as F
from ..checks import choice, flag, integer, number
from ..functional.loss.classification import NORMS
from .base import Loss


class _ClassLoss(Loss):
    weight: Tensor | None

    def __init__(
        self,
        weight: Tensor | np.ndarray | None = None,
        size_average: None = None,
        ignore_index: int = -100,
        reduce: None = None,
        reduction: str = "mean",
        *,
        norm: str = "weight",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.register_weight("weight", weight)
        self.ignore_index = integer(type(self).__name__, "ignore_index", ignore_index, -(2**31))
        self.norm = choice(type(self).__name__, "norm", norm, NORMS)


class CrossEntropyLoss(_ClassLoss):
    """Softmax and negative log-likelihood in one: loss = -log softmax(x)[target].

    x holds logits (N, C), (N, C, d1, ...) or (C,); target holds class indices of any integer type
    (N), (N, d1, ...), or class probabilities of x's shape. "mean" divides by the sum of the class
    weights of the rows that are not ignored, with `norm="n"` by their number. `label_smoothing` e
    mixes the target with the uniform distribution: (1 - e) one_hot + e / C. `from_logits=False`
    takes probabilities instead of logits.

    >>> import neurona
    >>> from neurona import nn
    >>> round(nn.CrossEntropyLoss()(neurona.zeros(2, 10), neurona.tensor([3, 7])).item(), 4)
    2.3026
    """

    def __init__(
        self,
        weight: Tensor | np.ndarray | None = None,
        size_average: None = None,
        ignore_index: int = -100,
        reduce: None = None,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
        *,
        norm: str = "weight",
        from_logits: bool = True,
    ) -> None:
        super().__init__(weight, size_average, ignore_index, reduce, reduction, norm=norm)
        self.from_logits = flag("CrossEntropyLoss", "from_logits", from_logits)
        self.label_smoothing = number(
            "CrossEntropyLoss", "label_smoothing", label_smoothing, 0.0, 1.0
        )

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Logits and target -> loss, 0-d or one value per row."""
        return F.cross_entropy(
            input,
            target,
            self.weight,
            None,
            self.ignore_index,
            None,
            self.reduction,
            self.label_smoothing,
            norm=self.norm,
            from_logits=self.from_logits,
        )


class NLLLoss(_ClassLoss):
    """Negative log-likelihood of log-probabilities: loss = -weight[target] x[target].

    Shapes, `weight`, `ignore_index`, "mean" and `norm` are those of `CrossEntropyLoss`; x holds the
    output of LogSoftmax.

    >>> import neurona
    >>> from neurona import nn
    >>> nn.NLLLoss()(neurona.tensor([[-0.5, -1.0]]), neurona.tensor([1])).item()
    1.0
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Log-probabilities and target -> loss."""
        return F.nll_loss(
            input,
            target,
            self.weight,
            None,
            self.ignore_index,
            None,
            self.reduction,
            norm=self.norm,
        )


class FocalLoss(Loss):
    """-alpha[target] (1 - p)^gamma log p with p = softmax(x)[target]: cross-entropy in which rows
    that are right already count little.

    x, target and `ignore_index` are those of `CrossEntropyLoss`; `alpha` (C,) weighs the classes.
    "mean" divides by the number of rows that are not ignored. gamma 0 is cross-entropy. Raises
    ValueError for gamma < 0. Paper: Lin et al. 2017.

    >>> import neurona
    >>> from neurona import nn
    >>> round(nn.FocalLoss(2.0)(neurona.zeros(1, 2), neurona.tensor([0])).item(), 4)
    0.1733
    """

    alpha: Tensor | None

    def __init__(
        self,
        gamma: float = 2.0,
        alpha: Tensor | np.ndarray | None = None,
        *,
        ignore_index: int = -100,
        reduction: str = "mean",
    ) -> None:
        super().__init__(reduction=reduction)
        self.gamma = number("FocalLoss", "gamma", gamma, 0.0)
        self.register_weight("alpha", alpha)
        self.ignore_index = integer("FocalLoss", "ignore_index", ignore_index, -(2**31))

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Logits and target -> loss, 0-d or one value per row."""
        return F.focal_loss(
            input,
            target,
            self.gamma,
            self.alpha,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
        )

    def extra_repr(self) -> str:
        return f"gamma={self.gamma:g}, {super().extra_repr()}"
