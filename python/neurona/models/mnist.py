"""The convolutional network with 20 and 40 filters of 5x5."""

from __future__ import annotations

from ..nn import Conv2d, Dropout, Flatten, Linear, MaxPool2d, Module, ReLU, Sequential
from ..tensor import Tensor
from .sizes import check_image, check_int


class MnistCNN(Module):
    """Conv 5x5x20, conv 5x5x40, two dense layers of `hidden` units with dropout, and the output:
    images (N, in_channels, S, S) -> logits (N, num_classes).

    Activations are ReLU. With `pool`, a 2x2 maximum follows each convolution: 28 -> 24 -> 12 -> 8
    -> 4 pixels and 1,672,570 parameters for grey digits; without, 28 -> 24 -> 20 and 17,032,570.
    Raises `ValueError` if S < 16 with pools, S < 9 without, or `hidden` < 1.

    >>> import neurona
    >>> MnistCNN(hidden=20)(neurona.zeros(2, 1, 28, 28)).shape
    (2, 10)
    """

    def __init__(
        self,
        num_classes: int = 10,
        in_channels: int = 1,
        image_size: int = 28,
        *,
        hidden: int = 1000,
        pool: bool = True,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        check_image("mnist_cnn", image_size, smallest=16 if pool else 9)
        check_int("mnist_cnn", "hidden", hidden, 1)
        layers: list[Module] = []
        channels, side = in_channels, image_size
        for filters in (20, 40):
            layers += [Conv2d(channels, filters, kernel_size=5), ReLU()]
            channels, side = filters, side - 4
            if pool:
                layers.append(MaxPool2d(2))
                side //= 2
        self.features = Sequential(*layers)
        self.classifier = Sequential(
            Flatten(),
            Linear(channels * side * side, hidden),
            ReLU(),
            Dropout(dropout),
            Linear(hidden, hidden),
            ReLU(),
            Dropout(dropout),
            Linear(hidden, num_classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, num_classes) of images (N, in_channels, S, S)."""
        return self.classifier(self.features(x))
