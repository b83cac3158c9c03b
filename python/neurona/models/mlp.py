"""Multi-layer perceptrons with ReLU between the layers."""

from __future__ import annotations

from ..nn import Flatten, Linear, Module, ReLU, Sequential
from ..tensor import Tensor


class MLP(Module):
    """Linear layers of the given widths with ReLU between: (N, ...) -> logits (N, num_classes).

    The axes after the first are flattened to `in_features`. `MLP(784, (64, 64, 64), 10)`, known as
    `mlp64`, has 59,210 parameters.

    >>> import neurona
    >>> MLP(64, (32,), 10)(neurona.zeros(2, 1, 8, 8)).shape
    (2, 10)
    """

    def __init__(
        self, in_features: int = 784, hidden: tuple[int, ...] = (64, 64, 64), num_classes: int = 10
    ) -> None:
        super().__init__()
        layers: list[Module] = [Flatten()]
        width = in_features
        for next_width in hidden:
            layers += [Linear(width, next_width), ReLU()]
            width = next_width
        layers.append(Linear(width, num_classes))
        self.layers = Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, num_classes)."""
        return self.layers(x)
