"""Dropout (Srivastava et al. 2014)."""

from __future__ import annotations

from ..tensor import Tensor
from . import functional as F
from .checks import flag, number
from .module import Module


class Dropout(Module):
    """Zeroes each element with probability p and scales the rest by 1/(1 - p), in training only.

    Raises ValueError when p is outside [0, 1]. Paper: Srivastava et al. 2014, "Dropout".

    >>> import neurona
    >>> from neurona import nn
    >>> nn.Dropout(0.5).eval()(neurona.ones(3)).numpy().tolist()
    [1.0, 1.0, 1.0]
    """

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        self.p = number("Dropout", "p", p, 0.0, 1.0)
        self.inplace = flag("Dropout", "inplace", inplace)

    def forward(self, input: Tensor) -> Tensor:
        """x (*) -> y (*)."""
        return F.dropout(input, self.p, self.training, self.inplace)

    def extra_repr(self) -> str:
        return f"p={self.p}" + (", inplace=True" if self.inplace else "")
