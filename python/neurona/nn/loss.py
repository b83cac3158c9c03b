"""Loss layers. `reduction` is "mean", "sum" or "none"; the dead slots size_average and reduce
accept None only.
"""

from __future__ import annotations

import numpy as np

from ..tensor import Tensor
from . import functional as F
from .checks import integer, number, reduction_only
from .module import Module


class _Loss(Module):
    def __init__(
        self, size_average: None = None, reduce: None = None, reduction: str = "mean"
    ) -> None:
        super().__init__()
        self.reduction = reduction_only(type(self).__name__, size_average, reduce, reduction)

    def extra_repr(self) -> str:
        return f"reduction={self.reduction!r}"


class _ClassLoss(_Loss):
    weight: Tensor | None

    def __init__(
        self,
        weight: Tensor | np.ndarray | None = None,
        size_average: None = None,
        ignore_index: int = -100,
        reduce: None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        if isinstance(weight, np.ndarray):
            weight = Tensor(weight)
        self.register_buffer("weight", weight)
        self.ignore_index = integer(type(self).__name__, "ignore_index", ignore_index, -(2**31))


class CrossEntropyLoss(_ClassLoss):
    """Softmax and negative log-likelihood in one: loss = -log softmax(x)[target].

    x holds logits (N, C), (N, C, d1, ...) or (C,); target holds class indices of any integer type
    (N), (N, d1, ...), or class probabilities of x's shape. "mean" divides by the sum of the class
    weights of the rows that are not ignored. `label_smoothing` e mixes the target with the uniform
    distribution: (1 - e) one_hot + e / C.

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
    ) -> None:
        super().__init__(weight, size_average, ignore_index, reduce, reduction)
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
        )


class NLLLoss(_ClassLoss):
    """Negative log-likelihood of log-probabilities: loss = -weight[target] x[target].

    Shapes, `weight`, `ignore_index` and "mean" are those of `CrossEntropyLoss`; x holds the output
    of LogSoftmax.

    >>> import neurona
    >>> from neurona import nn
    >>> nn.NLLLoss()(neurona.tensor([[-0.5, -1.0]]), neurona.tensor([1])).item()
    1.0
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Log-probabilities and target -> loss."""
        return F.nll_loss(input, target, self.weight, None, self.ignore_index, None, self.reduction)


class MSELoss(_Loss):
    """(x - target)^2, averaged over all elements by "mean".

    >>> import neurona
    >>> from neurona import nn
    >>> nn.MSELoss()(neurona.tensor([1.0, 3.0]), neurona.tensor([0.0, 0.0])).item()
    5.0
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """x (*) and target (*) -> loss."""
        return F.mse_loss(input, target, reduction=self.reduction)


class L1Loss(_Loss):
    """|x - target|, averaged over all elements by "mean"; the gradient at 0 is 0.

    >>> import neurona
    >>> from neurona import nn
    >>> nn.L1Loss()(neurona.tensor([1.0, 3.0]), neurona.tensor([0.0, 0.0])).item()
    2.0
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """x (*) and target (*) -> loss."""
        return F.l1_loss(input, target, reduction=self.reduction)
