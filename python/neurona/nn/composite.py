"""Layers made of layers: residual and concatenated branches, and a dense block."""

from __future__ import annotations

from typing import Any

from ..creation import cat
from ..tensor import Tensor
from .activation import ReLU
from .checks import integer
from .dropout import Dropout
from .linear import Linear
from .module import Module


def _module(layer: str, name: str, value: Any) -> Module:
    if not isinstance(value, Module):
        raise TypeError(f"{layer}: {name} must be a Module, got {type(value).__name__}")
    return value


class Residual(Module):
    """y = g(body(x) + x), or g(body(x) + shortcut(x)) where the body changes the shape.

    g is `activation`, ReLU unless given (`nn.Identity()` for none). It comes after the sum: a body
    that gives 0 makes y = x only where x >= 0, as behind another ReLU. `shortcut` is the projection
    W_s: a Linear, or a Conv2d with 1 x 1 kernel and the body's stride. Raises ValueError when the
    two summands differ in shape, TypeError for anything but modules. Paper: He et al. 2016.

    >>> import neurona
    >>> from neurona import nn
    >>> nn.Residual(nn.Conv2d(8, 8, 3, padding=1))(neurona.zeros(1, 8, 6, 6)).shape
    (1, 8, 6, 6)
    >>> nn.Residual(nn.Linear(8, 4), nn.Linear(8, 4, bias=False))(neurona.zeros(1, 8)).shape
    (1, 4)
    """

    def __init__(
        self,
        body: Module,
        shortcut: Module | None = None,
        *,
        activation: Module | None = None,
    ) -> None:
        super().__init__()
        self.body = _module("Residual", "body", body)
        self.shortcut = None
        if shortcut is not None:
            self.shortcut = _module("Residual", "shortcut", shortcut)
        self.activation = (
            ReLU() if activation is None else _module("Residual", "activation", activation)
        )

    def forward(self, input: Tensor) -> Tensor:
        """x (N, ...) -> y (N, ...), of the body's shape."""
        result = self.body(input)
        skipped = input if self.shortcut is None else self.shortcut(input)
        if result.shape != skipped.shape:
            cause = "keep the shape, or a shortcut be given" if self.shortcut is None else "agree"
            raise ValueError(
                f"Residual: body and the path beside it must {cause}, "
                f"got {result.shape} and {skipped.shape}"
            )
        return self.activation(result + skipped)


class Concat(Module):
    """The outputs of its branches joined along `dim`; without branches, its inputs joined.

    y = cat([f_1(x), ..., f_n(x)], dim). `Concat(nn.Identity(), f)` hands x on beside f(x), so that
    a chain of them connects every map to all later ones (Huang et al. 2017). Raises ValueError for
    shapes that differ elsewhere than in `dim`, TypeError for branches that are no modules.

    >>> import neurona
    >>> from neurona import nn
    >>> block = nn.Concat(nn.Identity(), nn.Conv2d(8, 4, 3, padding=1))
    >>> block(neurona.zeros(1, 8, 6, 6)).shape
    (1, 12, 6, 6)
    >>> nn.Concat(dim=1)(neurona.zeros(2, 3), neurona.zeros(2, 4)).shape
    (2, 7)
    """

    def __init__(self, *branches: Module, dim: int = 1) -> None:
        super().__init__()
        self.dim = integer("Concat", "dim", dim, -(2**31))
        for position, branch in enumerate(branches):
            self.add_module(str(position), _module("Concat", f"branch {position}", branch))

    def forward(self, *inputs: Any) -> Tensor:
        """One x for all branches, or the tensors (or one list of them) to join."""
        branches = [module for _, module in self._members("module")]
        if branches:
            if len(inputs) != 1:
                raise TypeError(f"Concat: branches take one input, got {len(inputs)}")
            return cat([branch(inputs[0]) for branch in branches], self.dim)
        single = len(inputs) == 1 and isinstance(inputs[0], list | tuple)
        return cat(inputs[0] if single else inputs, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class DenseBlock(Module):
    """Linear, dropout and ReLU as one layer: y = max(0, dropout(x W^T + b)).

    x (*, in_features), y (*, out_features). Not the densely connected block of convolutional nets:
    that is a chain of `Concat`. Raises ValueError as `Linear` and `Dropout` do.

    >>> import neurona
    >>> from neurona import nn
    >>> net = nn.Sequential(nn.Flatten(), nn.DenseBlock(64, 32, 0.2), nn.Linear(32, 10))
    >>> net(neurona.zeros(5, 1, 8, 8)).shape
    (5, 10)
    """

    def __init__(self, in_features: int, out_features: int, p: float = 0.5) -> None:
        super().__init__()
        self.linear = Linear(in_features, out_features)
        self.dropout = Dropout(p)
        self.activation = ReLU()

    def forward(self, input: Tensor) -> Tensor:
        """x (*, in_features) -> y (*, out_features)."""
        return self.activation(self.dropout(self.linear(input)))
