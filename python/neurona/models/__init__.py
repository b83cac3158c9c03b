"""Small models: `lenet5`, `mlp64`, `mlp1024`, `vgg_small`, `digits_cnn`,
`Perceptron`.

>>> from neurona import models
>>> sum(p.numel() for p in models.mlp64().parameters())
59210
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .registry import NAMES, Defaults, build, defaults, load

if TYPE_CHECKING:
    from .lenet import LeNet5
    from .mlp import MLP
    from .perceptron import Perceptron
    from .small_cnn import DigitsCNN
    from .vgg import VGGSmall

__all__ = [
    "NAMES",
    "Defaults",
    "Perceptron",
    "build",
    "defaults",
    "digits_cnn",
    "lenet5",
    "load",
    "mlp64",
    "mlp1024",
    "vgg_small",
]


def lenet5(num_classes: int = 10, in_channels: int = 1, image_size: int = 28) -> LeNet5:
    """LeNet-5, 61,706 parameters for 28x28 grey images; see `neurona.models.lenet.LeNet5`."""
    from .lenet import LeNet5

    return LeNet5(num_classes, in_channels, image_size)


def mlp64(in_features: int = 784, num_classes: int = 10) -> MLP:
    """Three hidden layers of 64, 59,210 parameters for 784 features."""
    from .mlp import MLP

    return MLP(in_features, (64, 64, 64), num_classes)


def mlp1024(in_features: int = 784, num_classes: int = 10) -> MLP:
    """Three hidden layers of 1024."""
    from .mlp import MLP

    return MLP(in_features, (1024, 1024, 1024), num_classes)


def vgg_small(num_classes: int = 10, in_channels: int = 1, image_size: int = 28) -> VGGSmall:
    """Four 3x3 convolutions with batch normalisation and a linear head."""
    from .vgg import VGGSmall

    return VGGSmall(num_classes, in_channels, image_size)


def digits_cnn(num_classes: int = 10, in_channels: int = 1, image_size: int = 8) -> DigitsCNN:
    """Two 3x3 convolutions and a linear head, 6,090 parameters for 8x8 grey images."""
    from .small_cnn import DigitsCNN

    return DigitsCNN(num_classes, in_channels, image_size)


def __getattr__(name: str) -> Any:
    if name != "Perceptron":
        raise AttributeError(f"module 'neurona.models' has no attribute {name!r}")
    from .perceptron import Perceptron

    return Perceptron
