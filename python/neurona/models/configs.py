"""Hyper-parameters of training runs as objects: architecture and process, written out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from .mlp import MLP


class MLPConfig(NamedTuple):
    """A multi-layer perceptron and how it is trained by SGD.

    The learning rate at update i is lr / (1 + lr_decay i), counted from the initial one.

    >>> mnist64.build().layers[1]
    Linear(in_features=784, out_features=64, bias=True)
    >>> MLPConfig(**mnist64.get_config()) == mnist64
    True
    """

    hidden: tuple[int, ...]
    in_features: int = 784
    num_classes: int = 10
    activation: str = "relu"
    batch_size: int = 100
    epochs: int = 10
    lr: float = 0.01
    momentum: float = 0.9
    lr_decay: float = 1e-6

    def build(self) -> MLP:
        """A fresh model."""
        from .mlp import MLP

        return MLP(self.in_features, self.hidden, self.num_classes, activation=self.activation)

    def get_config(self) -> dict[str, Any]:
        """The fields by name; `MLPConfig(**fields)` is the same object again."""
        return self._asdict()


mnist64 = MLPConfig(hidden=(64, 64, 64))
mnist1024 = MLPConfig(hidden=(1024, 1024, 1024))
