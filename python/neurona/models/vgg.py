"""A small network in the style of VGG (Simonyan and Zisserman 2015), with batch normalisation."""

from __future__ import annotations

from ..nn import BatchNorm2d, Conv2d, Linear, MaxPool2d, Module, ReLU, Sequential
from ..tensor import Tensor
from .sizes import check_image


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
