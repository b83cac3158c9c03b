"""Models: the networks of a first course in deep learning, and two large ones.

`Perceptron` and its rule; dense networks `mlp64`, `mlp1024`, `mlp512_tanh`, `resmlp`;
convolutional networks `lenet5`, `mnist_cnn`, `digits_cnn`, `vgg_small`, `rescnn`; `resnet18` and
`vgg11` with torchvision's names; the encoder-decoder `segnet_mini`. `mnist64` and `mnist1024` are
whole configurations.

>>> from neurona import models
>>> sum(p.numel() for p in models.mlp64().parameters())
59210
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .configs import MLPConfig, mnist64, mnist1024
from .registry import ALIASES, NAMES, Defaults, build, defaults, load

if TYPE_CHECKING:
    from .lenet import LeNet5
    from .mlp import MLP
    from .mnist import MnistCNN
    from .perceptron import Perceptron
    from .residual_mlp import ResMLP
    from .resnet import ResCNN, ResNet
    from .segnet import SegNetMini
    from .small_cnn import DigitsCNN
    from .vgg import VGG11, VGGSmall

__all__ = [
    "ALIASES",
    "NAMES",
    "Defaults",
    "MLPConfig",
    "Perceptron",
    "build",
    "defaults",
    "digits_cnn",
    "lenet5",
    "load",
    "mlp64",
    "mlp512_tanh",
    "mlp1024",
    "mnist64",
    "mnist1024",
    "mnist_cnn",
    "rescnn",
    "resmlp",
    "resnet18",
    "segnet_mini",
    "vgg11",
    "vgg_small",
]


def lenet5(
    num_classes: int = 10,
    in_channels: int = 1,
    image_size: int | None = None,
    *,
    modern: bool | None = None,
    head: str = "linear",
) -> LeNet5:
    """LeNet-5, 61,706 parameters for 28x28 grey images; `modern=False` is the classic form for
    32x32 (tanh, average pooling), `modern=True` that with ReLU, maxima and padding; see
    `neurona.models.lenet.LeNet5`.
    """
    from .lenet import LeNet5

    return LeNet5(num_classes, in_channels, image_size, modern=modern, head=head)


def mlp64(in_features: int = 784, num_classes: int = 10) -> MLP:
    """Three hidden layers of 64, 59,210 parameters for 784 features."""
    from .mlp import MLP

    return MLP(in_features, (64, 64, 64), num_classes)


def mlp1024(in_features: int = 784, num_classes: int = 10) -> MLP:
    """Three hidden layers of 1024, 2,913,290 parameters for 784 features."""
    from .mlp import MLP

    return MLP(in_features, (1024, 1024, 1024), num_classes)


def mlp512_tanh(in_features: int = 784, num_classes: int = 10) -> MLP:
    """Two hidden layers of 512 with tanh, 669,706 parameters for 784 features."""
    from .mlp import MLP

    return MLP(in_features, (512, 512), num_classes, activation="tanh")


def vgg_small(num_classes: int = 10, in_channels: int = 1, image_size: int = 28) -> VGGSmall:
    """Four 3x3 convolutions with batch normalisation and a linear head."""
    from .vgg import VGGSmall

    return VGGSmall(num_classes, in_channels, image_size)


def digits_cnn(num_classes: int = 10, in_channels: int = 1, image_size: int = 8) -> DigitsCNN:
    """Two 3x3 convolutions and a linear head, 6,090 parameters for 8x8 grey images."""
    from .small_cnn import DigitsCNN

    return DigitsCNN(num_classes, in_channels, image_size)


def mnist_cnn(
    num_classes: int = 10, in_channels: int = 1, image_size: int = 28, **options: Any
) -> MnistCNN:
    """5x5 convolutions of 20 and 40 filters and three dense layers; see
    `neurona.models.mnist.MnistCNN` for `hidden`, `pool` and `dropout`.
    """
    from .mnist import MnistCNN

    return MnistCNN(num_classes, in_channels, image_size, **options)


def resmlp(in_features: int = 784, num_classes: int = 10, **options: Any) -> ResMLP:
    """Dense layers in pairs with shortcuts; see `neurona.models.residual_mlp.ResMLP` for `width`,
    `depth`, `residual` and `branch_gain`.
    """
    from .residual_mlp import ResMLP

    return ResMLP(in_features, num_classes, **options)


def rescnn(
    num_classes: int = 10, in_channels: int = 1, image_size: int = 8, **options: Any
) -> ResCNN:
    """A residual network for small images; see `neurona.models.resnet.ResCNN` for `depth`, `width`
    and `residual`.
    """
    from .resnet import ResCNN

    return ResCNN(num_classes, in_channels, image_size, **options)


def resnet18(num_classes: int = 1000, in_channels: int = 3, *, stem: str = "imagenet") -> ResNet:
    """ResNet-18 with torchvision's names, 11,689,512 parameters for 1000 classes."""
    from .resnet import ResNet

    return ResNet((2, 2, 2, 2), num_classes, in_channels, stem=stem)


def vgg11(num_classes: int = 1000, in_channels: int = 3, **options: Any) -> VGG11:
    """VGG-11 with torchvision's names, 132,863,336 parameters for 1000 classes; see
    `neurona.models.vgg.VGG11` for `batch_norm`, `dropout` and `hidden`.
    """
    from .vgg import VGG11

    return VGG11(num_classes, in_channels, **options)


def segnet_mini(num_classes: int = 4, in_channels: int = 1, **options: Any) -> SegNetMini:
    """A small encoder-decoder, logits per pixel; see `neurona.models.segnet.SegNetMini` for
    `width` and `upsample`.
    """
    from .segnet import SegNetMini

    return SegNetMini(num_classes, in_channels, **options)


def __getattr__(name: str) -> Any:
    if name != "Perceptron":
        raise AttributeError(f"module 'neurona.models' has no attribute {name!r}")
    from .perceptron import Perceptron

    return Perceptron
