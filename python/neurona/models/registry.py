"""Models by name, built for the shape of a data set, and their training defaults.

Imports nothing but the standard library until a model is built, so that the command line can list
the names at once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from ..files import StrPath
    from ..nn import Module

NAMES = (
    "lenet5",
    "mlp64",
    "mlp1024",
    "mlp512_tanh",
    "vgg_small",
    "digits_cnn",
    "mnist_cnn",
    "rescnn",
    "resnet18",
)
# Other names of the same models.
ALIASES = {"mnist64": "mlp64", "mnist1024": "mlp1024"}
MLP_WIDTHS = {"mlp64": (64,) * 3, "mlp1024": (1024,) * 3, "mlp512_tanh": (512,) * 2}


class Defaults(NamedTuple):
    """How the command line trains a model unless told otherwise."""

    optimizer: str
    lr: float
    momentum: float
    weight_decay: float
    batch_size: int
    epochs: int
    schedule: str


_DEFAULTS = {
    "lenet5": Defaults("sgd", 0.05, 0.9, 0.0, 64, 10, "cosine"),
    "mlp64": Defaults("sgd", 0.01, 0.9, 0.0, 100, 10, "constant"),
    "mlp1024": Defaults("sgd", 0.05, 0.9, 0.0, 100, 10, "cosine"),
    "mlp512_tanh": Defaults("sgd", 0.05, 0.9, 0.0, 100, 10, "cosine"),
    "vgg_small": Defaults("sgd", 0.05, 0.9, 5e-4, 128, 10, "cosine"),
    "digits_cnn": Defaults("sgd", 0.05, 0.9, 0.0, 32, 20, "cosine"),
    "mnist_cnn": Defaults("sgd", 0.03, 0.9, 0.0, 64, 20, "cosine"),
    "rescnn": Defaults("sgd", 0.1, 0.9, 1e-4, 128, 20, "cosine"),
    "resnet18": Defaults("sgd", 0.1, 0.9, 5e-4, 128, 20, "cosine"),
}


def check_name(name: str) -> str:
    """The registered name, `-` and `_` being the same; raises `ValueError` with the nearest one."""
    key = name.replace("-", "_").lower()
    key = ALIASES.get(key, key)
    if key in NAMES:
        return key
    close = get_close_matches(key, NAMES, 1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    raise ValueError(f"models: name must be one of {', '.join(NAMES)}, got {name!r}{hint}")


def defaults(name: str) -> Defaults:
    """The training defaults of a model; raises `ValueError` for an unknown name."""
    return _DEFAULTS[check_name(name)]


def build(name: str, input_shape: Sequence[int] = (1, 28, 28), num_classes: int = 10) -> Module:
    """A fresh model for samples of `input_shape` (C, S, S) or (F,) and `num_classes` classes.

    `resnet18` begins with its small stem for images of up to 64 pixels. Raises `ValueError` for an
    unknown name or a shape that the model cannot take.

    >>> sum(p.numel() for p in build("lenet5").parameters())
    61706
    """
    key = check_name(name)
    shape = tuple(input_shape)
    if key in MLP_WIDTHS:
        from .mlp import MLP

        activation = "tanh" if key == "mlp512_tanh" else "relu"
        return MLP(math.prod(shape), MLP_WIDTHS[key], num_classes, activation=activation)
    if len(shape) != 3 or shape[1] != shape[2]:
        raise ValueError(f"{key}: input_shape must be (C, S, S), got {shape}")
    channels, size = shape[0], shape[1]
    if key == "lenet5":
        from .lenet import LeNet5

        return LeNet5(num_classes, channels, size)
    if key == "vgg_small":
        from .vgg import VGGSmall

        return VGGSmall(num_classes, channels, size)
    if key == "mnist_cnn":
        from .mnist import MnistCNN

        return MnistCNN(num_classes, channels, size)
    if key == "rescnn":
        from .resnet import ResCNN

        return ResCNN(num_classes, channels, size)
    if key == "resnet18":
        from .resnet import ResNet

        # The large stem divides the size by 4 before the first block.
        stem = "small" if size <= 64 else "imagenet"
        return ResNet((2, 2, 2, 2), num_classes, channels, stem=stem)
    from .small_cnn import DigitsCNN

    return DigitsCNN(num_classes, channels, size)


def load(path: StrPath) -> Module:
    """The model in a file written by the command line, in evaluation mode.

    Raises `FormatError` if the file is damaged or does not say which model it holds, `OSError` if
    it cannot be read.
    """
    from ..checkpoint import load_checkpoint
    from .arch import model_from_checkpoint

    return model_from_checkpoint(path, load_checkpoint(path))[0]
