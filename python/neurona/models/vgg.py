"""VGG (Simonyan and Zisserman 2015): a small network in its style, and the one of 11 layers."""

from __future__ import annotations

from ..nn import (
    AdaptiveAvgPool2d,
    BatchNorm2d,
    Conv2d,
    Dropout,
    Linear,
    MaxPool2d,
    Module,
    ReLU,
    Sequential,
    init,
)
from ..tensor import Tensor
from .sizes import check_image, check_int


class VGGSmall(Module):
    """Conv-BN-ReLU 32, 32, pool, 64, 64, pool, linear: (N, in_channels, S, S) -> (N, num_classes).

    All convolutions are 3x3 with padding 1; pooling is 2x2. Raises `ValueError` if
    `image_size` < 4.

    >>> import neurona
    >>> VGGSmall(num_classes=10, in_channels=3, image_size=8)(neurona.zeros(2, 3, 8, 8)).shape
    (2, 10)
    """

    def __init__(self, num_classes: int = 10, in_channels: int = 1, image_size: int = 28) -> None:
        super().__init__()
        check_image("vgg_small", image_size, smallest=4)
        layers: list[Module] = []
        channels = in_channels
        for width in (32, 64):
            for _ in range(2):
                # The bias would be cancelled by the normalisation that follows.
                layers += [
                    Conv2d(channels, width, kernel_size=3, padding=1, bias=False),
                    BatchNorm2d(width),
                    ReLU(),
                ]
                channels = width
            layers.append(MaxPool2d(2))
        self.features = Sequential(*layers)
        self.classifier = Linear(64 * (image_size // 4) ** 2, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, num_classes) of images (N, in_channels, S, S)."""
        return self.classifier(self.features(x).flatten(1))


class VGG11(Module):
    """VGG-11, eight 3x3 convolutions and three dense layers: (N, in_channels, S, S) -> logits (N,
    num_classes).

    Channels 64, pool, 128, pool, 256, 256, pool, 512, 512, pool, 512, 512, pool, then the mean over
    7x7 windows and dense layers of `hidden` units with dropout. `batch_norm` puts a normalisation
    behind each convolution. Names and shapes of the parameters are those of torchvision's `vgg11`
    and `vgg11_bn`. Images need S >= 32. Raises `ValueError` if `hidden` < 1.

    >>> import neurona
    >>> VGG11(10, hidden=8).eval()(neurona.zeros(1, 3, 32, 32)).shape
    (1, 10)
    """

    def __init__(
        self,
        num_classes: int = 1000,
        in_channels: int = 3,
        *,
        batch_norm: bool = False,
        dropout: float = 0.5,
        hidden: int = 4096,
    ) -> None:
        super().__init__()
        check_int("vgg11", "hidden", hidden, 1)
        layers: list[Module] = []
        channels = in_channels
        for widths in ((64,), (128,), (256, 256), (512, 512), (512, 512)):
            for width in widths:
                conv = Conv2d(channels, width, kernel_size=3, padding=1)
                init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
                if conv.bias is not None:
                    init.zeros_(conv.bias)
                layers += [conv, BatchNorm2d(width), ReLU()] if batch_norm else [conv, ReLU()]
                channels = width
            layers.append(MaxPool2d(2))
        self.features = Sequential(*layers)
        self.avgpool = AdaptiveAvgPool2d(7)
        self.classifier = Sequential(
            Linear(512 * 7 * 7, hidden),
            ReLU(),
            Dropout(dropout),
            Linear(hidden, hidden),
            ReLU(),
            Dropout(dropout),
            Linear(hidden, num_classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, num_classes) of images (N, in_channels, S, S)."""
        return self.classifier(self.avgpool(self.features(x)).flatten(1))
