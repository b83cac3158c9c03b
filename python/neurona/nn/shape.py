"""Layers without arithmetic: Flatten and Identity."""

from __future__ import annotations

from typing import Any

from ..tensor import Tensor
from .checks import integer
from .module import Module


class Flatten(Module):
    """Joins the axes start_dim..end_dim into one; the default keeps the batch axis.

    >>> import neurona
    >>> from neurona import nn
    >>> nn.Flatten()(neurona.zeros(32, 16, 5, 5)).shape
    (32, 400)
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim = integer("Flatten", "start_dim", start_dim, -(2**31))
        self.end_dim = integer("Flatten", "end_dim", end_dim, -(2**31))

    def forward(self, input: Tensor) -> Tensor:
        """x (N, a, b, ...) -> y (N, a b ...)."""
        return input.flatten(self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Identity(Module):
    """y = x; any arguments are accepted, so that it can take the place of another layer.

    >>> import neurona
    >>> from neurona import nn
    >>> nn.Identity(54, unused=True)(neurona.ones(2)).numpy().tolist()
    [1.0, 1.0]
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, input: Tensor) -> Tensor:
        """Return the input itself."""
        return input
