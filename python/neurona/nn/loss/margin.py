"""Hinge losses: nothing to pay beyond a margin."""

from __future__ import annotations

import math

import numpy as np

from ...tensor import Tensor
from .. import functional as F
from ..checks import choice, integer, number, positive
from ..functional.loss.margin import FORMS
from .base import Loss


class HingeLoss(Loss):
    """max(0, margin - t x) for scores x (*) and targets t (*) of -1 and 1.

    Outputs beyond the margin cost nothing. Raises ValueError for other targets and margin <= 0.
    Paper: Cortes & Vapnik 1995.

    >>> import neurona
    >>> from neurona import nn
    >>> nn.HingeLoss()(neurona.tensor([-0.5, 2.0]), neurona.tensor([1, 1])).item()
    0.75
    """

    def __init__(self, margin: float = 1.0, *, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        self.margin = positive("HingeLoss", "margin", margin)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Scores (*) and targets (*) -> loss."""
        return F.hinge_loss(input, target, self.margin, reduction=self.reduction)

    def extra_repr(self) -> str:
        return f"margin={self.margin:g}, {super().extra_repr()}"


class MultiMarginLoss(Loss):
    """weight[t] sum_{i != t} max(0, margin - x[t] + x[i])^p / C: the hinge loss of C classes.

    x (N, C) or (C,) holds scores, t (N) or () classes; p is 1 or 2. `form="max"` takes the most
    wrong class alone, without the division by C. "mean" divides by N. Raises ValueError for
    parameters that do not fit. Papers: Weston & Watkins 1999 (sum), Crammer & Singer 2001 (max).

    >>> import neurona
    >>> from neurona import nn
    >>> x, t = neurona.tensor([[0.1, 0.2, 0.4, 0.8]]), neurona.tensor([3])
    >>> round(nn.MultiMarginLoss()(x, t).item(), 4)
    0.325
    """

    weight: Tensor | None

    def __init__(
        self,
        p: int = 1,
        margin: float = 1.0,
        weight: Tensor | np.ndarray | None = None,
        size_average: None = None,
        reduce: None = None,
        reduction: str = "mean",
        *,
        form: str = "sum",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.p = integer("MultiMarginLoss", "p", p, 1)
        if self.p > 2:
            raise ValueError(f"MultiMarginLoss: p must be 1 or 2, got {p}")
        self.margin = number("MultiMarginLoss", "margin", margin, -math.inf)
        self.register_weight("weight", weight)
        self.form = choice("MultiMarginLoss", "form", form, FORMS)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Scores (N, C) and classes (N) -> loss."""
        return F.multi_margin_loss(
            input,
            target,
            self.p,
            self.margin,
            self.weight,
            reduction=self.reduction,
            form=self.form,
        )

    def extra_repr(self) -> str:
        return f"p={self.p}, margin={self.margin:g}, {super().extra_repr()}"
