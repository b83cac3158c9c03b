"""Multi-layer perceptrons."""

from __future__ import annotations

from ..nn import Flatten, Identity, Linear, Module, ReLU, Sequential, Sigmoid, Tanh
from ..tensor import Tensor
from .sizes import check_choice

_ACTIVATIONS: dict[str, type[Module]] = {
    "identity": Identity,
    "relu": ReLU,
    "sigmoid": Sigmoid,
    "tanh": Tanh,
}


class MLP(Module):
    """Linear layers of the given widths with an activation between: (N, ...) -> logits (N,
    num_classes).

    The axes after the first are flattened to `in_features`; `activation` is "relu", "tanh",
    "sigmoid" or "identity", with which the layers are one linear map. `MLP(784, (64, 64, 64), 10)`,
    known as `mlp64`, has 59,210 parameters. Raises ValueError for another activation.

    >>> import neurona
    >>> MLP(64, (32,), 10)(neurona.zeros(2, 1, 8, 8)).shape
    (2, 10)
    """

    def __init__(
        self,
        in_features: int = 784,
        hidden: tuple[int, ...] = (64, 64, 64),
        num_classes: int = 10,
        *,
        activation: str = "relu",
    ) -> None:
        super().__init__()
        check_choice("mlp", "activation", activation, _ACTIVATIONS)
        layers: list[Module] = [Flatten()]
        width = in_features
        for next_width in hidden:
            layers += [Linear(width, next_width), _ACTIVATIONS[activation]()]
            width = next_width
        layers.append(Linear(width, num_classes))
        self.layers = Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, num_classes)."""
        return self.layers(x)
